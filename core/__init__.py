"""What the product is: plans, the engine that walks them, and what people may ask."""
