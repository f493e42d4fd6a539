"""Durations in the units that people use."""


def format_days(number: float) -> str:
    """A number of days in a single suitable unit."""
    for unit, size, most in (("second", 86_400, 60), ("minute", 1440, 60), ("hour", 24, 48)):
        count = round(number * size)
        if count < most:
            return f"{count} {unit}" + ("" if count == 1 else "s")
    if number < 100:
        return f"{number:.1f} days"
    return f"{number:,.0f} days"


def format_whole_days(number: float) -> str:
    """A number of days that a person chose."""
    if number < 1:
        return format_days(number)
    return f"{number:g} day" + ("" if number == 1 else "s")
