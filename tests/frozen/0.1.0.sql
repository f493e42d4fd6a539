BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0012');
CREATE TABLE alert_conditions (
	id INTEGER NOT NULL, 
	alias TEXT NOT NULL, 
	what TEXT NOT NULL, 
	since DATETIME NOT NULL, 
	repeat_at DATETIME NOT NULL, 
	message JSON NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (alias, what)
);
INSERT INTO "alert_conditions" VALUES(1,'shop_b','deployment.paused','2026-11-02 02:00:03.000000','2026-11-02 06:00:03.000000','{"what": "deployment.paused", "text": "paused by anna: to look at it", "value": "", "bound": "", "actor": "anna", "reason": "to look at it", "next": "rollouts resume 2cf9c3b827fa", "deployment_id": "2cf9c3b827fa", "index": "shop_b", "severity": "warn", "state": "begun", "at": "2026-11-02T02:00:03.000Z", "since": "2026-11-02T02:00:03.000Z"}');
CREATE TABLE alert_deliveries (
	number INTEGER NOT NULL, 
	channel TEXT NOT NULL, 
	status TEXT NOT NULL, 
	tries INTEGER NOT NULL, 
	turn INTEGER NOT NULL, 
	due_at DATETIME NOT NULL, 
	lease_until DATETIME, 
	error TEXT NOT NULL, 
	sent_at DATETIME, 
	PRIMARY KEY (number, channel), 
	FOREIGN KEY(number) REFERENCES alert_notices (number)
);
INSERT INTO "alert_deliveries" VALUES(1,'dead','waiting',1,1,'2026-11-02 02:05:13.000000',NULL,'away',NULL);
INSERT INTO "alert_deliveries" VALUES(2,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(3,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(4,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(5,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(6,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(7,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(8,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(9,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(10,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(11,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(12,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(13,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(14,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(15,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(16,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(17,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(18,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(19,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(20,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(21,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(22,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(23,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(24,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(25,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(26,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(27,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(28,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(29,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
INSERT INTO "alert_deliveries" VALUES(30,'dead','waiting',0,0,'2026-11-02 02:05:13.000000',NULL,'',NULL);
CREATE TABLE alert_notices (
	number INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	alias TEXT NOT NULL, 
	what TEXT NOT NULL, 
	severity TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	message JSON NOT NULL, 
	spread BOOLEAN NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id)
);
INSERT INTO "alert_notices" VALUES(1,'9f2be6fb5076b54f','docs','deployment.created','info','2026-11-02 02:00:00.000000','{"what": "deployment.created", "text": "deployment 95ac36a474dc begins: blue_green: create -> populate -> validate -> switch -> soak; docs_20261102_020000", "value": "", "bound": "", "actor": "anna", "reason": "", "next": "watch it: rollouts status 95ac36a474dc --watch", "deployment_id": "95ac36a474dc", "index": "docs", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:00.000Z", "since": "2026-11-02T02:00:00.000Z", "id": "9f2be6fb5076b54f"}',1);
INSERT INTO "alert_notices" VALUES(2,'dd6f4bd92bb4e456','docs','deployment.stage_completed','info','2026-11-02 02:00:00.000000','{"what": "deployment.stage_completed", "text": "create: made from the index file", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "95ac36a474dc", "index": "docs", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:00.000Z", "since": "2026-11-02T02:00:00.000Z", "id": "dd6f4bd92bb4e456"}',1);
INSERT INTO "alert_notices" VALUES(3,'a9d098b8125be327','docs','deployment.stage_completed','info','2026-11-02 02:00:00.000000','{"what": "deployment.stage_completed", "text": "populate: 12 points by records, 12 embedded", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "95ac36a474dc", "index": "docs", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:00.000Z", "since": "2026-11-02T02:00:00.000Z", "id": "a9d098b8125be327"}',1);
INSERT INTO "alert_notices" VALUES(4,'1781181d3de6bd3d','docs','deployment.stage_completed','info','2026-11-02 02:00:00.000000','{"what": "deployment.stage_completed", "text": "validate: pass; no validation queries are configured: whether search answers well was not checked", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "95ac36a474dc", "index": "docs", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:00.000Z", "since": "2026-11-02T02:00:00.000Z", "id": "1781181d3de6bd3d"}',1);
INSERT INTO "alert_notices" VALUES(5,'ff74185b8fa4153f','docs','deployment.stage_completed','info','2026-11-02 02:00:00.000000','{"what": "deployment.stage_completed", "text": "switch: docs is on docs_20261102_020000", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "95ac36a474dc", "index": "docs", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:00.000Z", "since": "2026-11-02T02:00:00.000Z", "id": "ff74185b8fa4153f"}',1);
INSERT INTO "alert_notices" VALUES(6,'fc6e9a7ee983b8e8','docs','deployment.stage_completed','info','2026-11-02 02:00:01.000000','{"what": "deployment.stage_completed", "text": "soak: 2 looks, 0 errors, no searches through a router", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "95ac36a474dc", "index": "docs", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:01.000Z", "since": "2026-11-02T02:00:01.000Z", "id": "fc6e9a7ee983b8e8"}',1);
INSERT INTO "alert_notices" VALUES(7,'95dc80f435d01cec','docs','deployment.completed','info','2026-11-02 02:00:01.000000','{"what": "deployment.completed", "text": "docs is served by docs_20261102_020000", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "95ac36a474dc", "index": "docs", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:01.000Z", "since": "2026-11-02T02:00:01.000Z", "id": "95dc80f435d01cec"}',1);
INSERT INTO "alert_notices" VALUES(8,'f99fec4d3f1f219a','shop','deployment.created','info','2026-11-02 02:00:01.000000','{"what": "deployment.created", "text": "deployment 20945792793d begins: blue_green: create -> populate -> validate -> switch -> soak; shop_20261102_020001", "value": "", "bound": "", "actor": "anna", "reason": "", "next": "watch it: rollouts status 20945792793d --watch", "deployment_id": "20945792793d", "index": "shop", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:01.000Z", "since": "2026-11-02T02:00:01.000Z", "id": "f99fec4d3f1f219a"}',1);
INSERT INTO "alert_notices" VALUES(9,'435d7e0a8ee0617a','shop','deployment.stage_completed','info','2026-11-02 02:00:01.000000','{"what": "deployment.stage_completed", "text": "create: made from the index file", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "20945792793d", "index": "shop", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:01.000Z", "since": "2026-11-02T02:00:01.000Z", "id": "435d7e0a8ee0617a"}',1);
INSERT INTO "alert_notices" VALUES(10,'54a3d873383d2d11','shop','deployment.stage_completed','info','2026-11-02 02:00:01.000000','{"what": "deployment.stage_completed", "text": "populate: 12 points by records, 12 embedded", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "20945792793d", "index": "shop", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:01.000Z", "since": "2026-11-02T02:00:01.000Z", "id": "54a3d873383d2d11"}',1);
INSERT INTO "alert_notices" VALUES(11,'e4ee4f74168270f0','shop','deployment.stage_completed','info','2026-11-02 02:00:01.000000','{"what": "deployment.stage_completed", "text": "validate: pass; no validation queries are configured: whether search answers well was not checked", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "20945792793d", "index": "shop", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:01.000Z", "since": "2026-11-02T02:00:01.000Z", "id": "e4ee4f74168270f0"}',1);
INSERT INTO "alert_notices" VALUES(12,'db010839e8909ce3','shop','deployment.stage_completed','info','2026-11-02 02:00:01.000000','{"what": "deployment.stage_completed", "text": "switch: shop is on shop_20261102_020001", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "20945792793d", "index": "shop", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:01.000Z", "since": "2026-11-02T02:00:01.000Z", "id": "db010839e8909ce3"}',1);
INSERT INTO "alert_notices" VALUES(13,'e8c4e9f9b24944c1','shop','deployment.stage_completed','info','2026-11-02 02:00:02.000000','{"what": "deployment.stage_completed", "text": "soak: 2 looks, 0 errors, no searches through a router", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "20945792793d", "index": "shop", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:02.000Z", "since": "2026-11-02T02:00:02.000Z", "id": "e8c4e9f9b24944c1"}',1);
INSERT INTO "alert_notices" VALUES(14,'a5a33396b210a444','shop','deployment.completed','info','2026-11-02 02:00:02.000000','{"what": "deployment.completed", "text": "shop is served by shop_20261102_020001", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "20945792793d", "index": "shop", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:02.000Z", "since": "2026-11-02T02:00:02.000Z", "id": "a5a33396b210a444"}',1);
INSERT INTO "alert_notices" VALUES(15,'345d4977de9dd7d2','shop_b','deployment.created','info','2026-11-02 02:00:02.000000','{"what": "deployment.created", "text": "deployment 2f4eb1f31f49 begins: blue_green: create -> populate -> validate -> switch -> soak; shop_b_20261102_020002", "value": "", "bound": "", "actor": "anna", "reason": "", "next": "watch it: rollouts status 2f4eb1f31f49 --watch", "deployment_id": "2f4eb1f31f49", "index": "shop_b", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:02.000Z", "since": "2026-11-02T02:00:02.000Z", "id": "345d4977de9dd7d2"}',1);
INSERT INTO "alert_notices" VALUES(16,'f1a6822982b8e460','shop_b','deployment.stage_completed','info','2026-11-02 02:00:02.000000','{"what": "deployment.stage_completed", "text": "create: made from the index file", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "2f4eb1f31f49", "index": "shop_b", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:02.000Z", "since": "2026-11-02T02:00:02.000Z", "id": "f1a6822982b8e460"}',1);
INSERT INTO "alert_notices" VALUES(17,'2724ebd3df0e4748','shop_b','deployment.stage_completed','info','2026-11-02 02:00:02.000000','{"what": "deployment.stage_completed", "text": "populate: 12 points by records, 12 embedded", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "2f4eb1f31f49", "index": "shop_b", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:02.000Z", "since": "2026-11-02T02:00:02.000Z", "id": "2724ebd3df0e4748"}',1);
INSERT INTO "alert_notices" VALUES(18,'06f7dd5d8383c9e8','shop_b','deployment.stage_completed','info','2026-11-02 02:00:02.000000','{"what": "deployment.stage_completed", "text": "validate: pass; no validation queries are configured: whether search answers well was not checked", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "2f4eb1f31f49", "index": "shop_b", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:02.000Z", "since": "2026-11-02T02:00:02.000Z", "id": "06f7dd5d8383c9e8"}',1);
INSERT INTO "alert_notices" VALUES(19,'daaadea5becda602','shop_b','deployment.stage_completed','info','2026-11-02 02:00:02.000000','{"what": "deployment.stage_completed", "text": "switch: shop_b is on shop_b_20261102_020002", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "2f4eb1f31f49", "index": "shop_b", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:02.000Z", "since": "2026-11-02T02:00:02.000Z", "id": "daaadea5becda602"}',1);
INSERT INTO "alert_notices" VALUES(20,'4f384a5f40069c6e','shop_b','deployment.stage_completed','info','2026-11-02 02:00:03.000000','{"what": "deployment.stage_completed", "text": "soak: 2 looks, 0 errors, no searches through a router", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "2f4eb1f31f49", "index": "shop_b", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:03.000Z", "since": "2026-11-02T02:00:03.000Z", "id": "4f384a5f40069c6e"}',1);
INSERT INTO "alert_notices" VALUES(21,'935b4d3659322556','shop_b','deployment.completed','info','2026-11-02 02:00:03.000000','{"what": "deployment.completed", "text": "shop_b is served by shop_b_20261102_020002", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "2f4eb1f31f49", "index": "shop_b", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:03.000Z", "since": "2026-11-02T02:00:03.000Z", "id": "935b4d3659322556"}',1);
INSERT INTO "alert_notices" VALUES(22,'b62c412929070b6a','shop_b','deployment.created','info','2026-11-02 02:00:03.000000','{"what": "deployment.created", "text": "deployment 2cf9c3b827fa begins: blue_green: create -> populate -> validate -> switch -> soak; shop_b_20261102_020003", "value": "", "bound": "", "actor": "anna", "reason": "", "next": "watch it: rollouts status 2cf9c3b827fa --watch", "deployment_id": "2cf9c3b827fa", "index": "shop_b", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:03.000Z", "since": "2026-11-02T02:00:03.000Z", "id": "b62c412929070b6a"}',1);
INSERT INTO "alert_notices" VALUES(23,'a6577a045e60519b','shop_b','deployment.stage_completed','info','2026-11-02 02:00:03.000000','{"what": "deployment.stage_completed", "text": "create: cloned from shop_b_20261102_020002", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "2cf9c3b827fa", "index": "shop_b", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:03.000Z", "since": "2026-11-02T02:00:03.000Z", "id": "a6577a045e60519b"}',1);
INSERT INTO "alert_notices" VALUES(24,'41972d6987a396b6','shop_b','deployment.stage_completed','info','2026-11-02 02:00:03.000000','{"what": "deployment.stage_completed", "text": "populate: 12 points by records, 12 reused", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "2cf9c3b827fa", "index": "shop_b", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:03.000Z", "since": "2026-11-02T02:00:03.000Z", "id": "41972d6987a396b6"}',1);
INSERT INTO "alert_notices" VALUES(25,'a0a1aeec6c28ebd4','shop_b','deployment.paused','warn','2026-11-02 02:00:03.000000','{"what": "deployment.paused", "text": "paused by anna: to look at it", "value": "", "bound": "", "actor": "anna", "reason": "to look at it", "next": "rollouts resume 2cf9c3b827fa", "deployment_id": "2cf9c3b827fa", "index": "shop_b", "severity": "warn", "state": "begun", "at": "2026-11-02T02:00:03.000Z", "since": "2026-11-02T02:00:03.000Z", "id": "a0a1aeec6c28ebd4"}',1);
INSERT INTO "alert_notices" VALUES(26,'194a46374021b5a4','docs','deployment.created','info','2026-11-02 02:00:03.000000','{"what": "deployment.created", "text": "deployment 7c32eb123be1 begins: canary: create -> populate -> validate -> shift -> shift -> switch -> soak; docs_20261102_020003", "value": "", "bound": "", "actor": "anna", "reason": "", "next": "watch it: rollouts status 7c32eb123be1 --watch", "deployment_id": "7c32eb123be1", "index": "docs", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:03.000Z", "since": "2026-11-02T02:00:03.000Z", "id": "194a46374021b5a4"}',1);
INSERT INTO "alert_notices" VALUES(27,'4c56cd4ddca388e3','docs','deployment.stage_completed','info','2026-11-02 02:00:03.000000','{"what": "deployment.stage_completed", "text": "create: cloned from docs_20261102_020000", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "7c32eb123be1", "index": "docs", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:03.000Z", "since": "2026-11-02T02:00:03.000Z", "id": "4c56cd4ddca388e3"}',1);
INSERT INTO "alert_notices" VALUES(28,'d043e0fdfe1386b2','docs','deployment.stage_completed','info','2026-11-02 02:00:03.000000','{"what": "deployment.stage_completed", "text": "populate: 12 points by records, 12 reused", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "7c32eb123be1", "index": "docs", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:03.000Z", "since": "2026-11-02T02:00:03.000Z", "id": "d043e0fdfe1386b2"}',1);
INSERT INTO "alert_notices" VALUES(29,'a01f5c00adba1320','docs','deployment.stage_completed','info','2026-11-02 02:00:03.000000','{"what": "deployment.stage_completed", "text": "validate: pass; no validation queries are configured: whether search answers well was not checked", "value": "", "bound": "", "actor": "system", "reason": "", "next": "nothing to do", "deployment_id": "7c32eb123be1", "index": "docs", "severity": "info", "state": "moment", "at": "2026-11-02T02:00:03.000Z", "since": "2026-11-02T02:00:03.000Z", "id": "a01f5c00adba1320"}',1);
INSERT INTO "alert_notices" VALUES(30,'63c574d7f74c761e','shop','experiment.started','info','2026-11-02 02:01:03.000000','{"what": "experiment.started", "text": "experiment colours (61a9f9370ce3): control shop_20261102_020001 50 %, treatment shop_b_20261102_020002 50 %; latency (guardrail), latency_p95 (guardrail), clicks (primary)", "value": "", "bound": "", "actor": "anna", "reason": "", "next": "rollouts experiment report 61a9f9370ce3", "deployment_id": null, "index": "shop", "severity": "info", "state": "moment", "at": "2026-11-02T02:01:03.000Z", "since": "2026-11-02T02:01:03.000Z", "id": "63c574d7f74c761e"}',1);
CREATE TABLE alias_states (
	alias TEXT NOT NULL, 
	desired TEXT, 
	previous TEXT, 
	revision INTEGER NOT NULL, 
	settled BOOLEAN NOT NULL, 
	changed_at DATETIME NOT NULL, 
	PRIMARY KEY (alias)
);
INSERT INTO "alias_states" VALUES('docs','docs_20261102_020000',NULL,1,1,'2026-11-02 02:00:00.000000');
INSERT INTO "alias_states" VALUES('shop','shop_20261102_020001',NULL,1,1,'2026-11-02 02:00:01.000000');
INSERT INTO "alias_states" VALUES('shop_b','shop_b_20261102_020002',NULL,1,1,'2026-11-02 02:00:02.000000');
CREATE TABLE batches (
	process TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (process)
);
INSERT INTO "batches" VALUES('frozen',3,'2026-11-02 02:01:03.000000');
CREATE TABLE clicks (
	experiment_id TEXT NOT NULL, 
	query_id TEXT NOT NULL, 
	document TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	credit INTEGER NOT NULL, 
	closes_at DATETIME NOT NULL, 
	PRIMARY KEY (experiment_id, query_id, document), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (id)
)
 WITHOUT ROWID

;
CREATE TABLE deletions (
	id INTEGER NOT NULL, 
	collection TEXT NOT NULL, 
	alias TEXT, 
	deployment_id TEXT, 
	status TEXT NOT NULL, 
	due_at DATETIME NOT NULL, 
	due_elapsed DOUBLE NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, backup_id TEXT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
CREATE TABLE deployments (
	id TEXT NOT NULL, 
	alias TEXT NOT NULL, 
	strategy TEXT NOT NULL, 
	status TEXT NOT NULL, 
	blue TEXT, 
	green TEXT NOT NULL, 
	source TEXT, 
	spec JSON NOT NULL, 
	actor TEXT NOT NULL, 
	message TEXT NOT NULL, 
	paused_for TEXT, 
	number INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	turn INTEGER NOT NULL, 
	wake_at DATETIME NOT NULL, 
	claimed_at DATETIME, 
	lease_until DATETIME, 
	lease_owner TEXT, 
	knocked_at DATETIME, 
	knocks INTEGER NOT NULL, 
	requested TEXT, 
	requested_by TEXT, 
	requested_reason TEXT, kind TEXT DEFAULT 'rollout' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "deployments" VALUES('95ac36a474dc','docs','blue_green','live',NULL,'docs_20261102_020000','jsonl:/frozen/docs.jsonl','{"source": "jsonl:docs.jsonl", "embedding": {"model": "hashing:64", "revision": null, "dtype": "float32", "text": "{text}", "vector": "", "chunk": null}, "collection": {"distance": null, "datatype": null, "on_disk": null, "hnsw": null, "quantization": null, "shard_number": null, "replication_factor": null, "on_disk_payload": null, "payload_indexes": {}}, "strategy": "blue_green", "validation": {"queries": [], "min_results": 5, "min_top_score": 0.7, "judged": null, "checks": {"overlap": {"bound": 0.1, "accept_inconclusive": true}, "latency_p50": false}, "slices": [], "samples": {"records": 12, "queries": 12, "judged": 50}, "seed": 7, "budget_seconds": 1800.0, "live_searches_per_second": 1000000.0}, "soak": {"seconds": 2.0, "interval_seconds": 1.0, "max_errors": 5}, "canary": {"stages": [{"percentage": 5.0, "duration_minutes": 2.0, "shadow": false}, {"percentage": 100.0, "duration_minutes": 0.0, "shadow": false}], "look_seconds": 30.0, "extension": 1.0, "min_searches": 200, "min_users": 100, "margins": {"p95": 0.1, "error_rate": 0.005}, "breakers": {"error_rate": 0.05, "calls": 200, "errors": 20, "mean_latency_ms": 200.0, "looks": 10}, "shadow_percentage": 10.0, "probing": false}, "grace_period_minutes": 60.0, "retention": {"versions": null, "days": null, "backups": null, "final_backup": false}, "rebuild": {"cron": "0 2 * * *", "zone": "UTC", "misfire": "once", "late_after_minutes": 60.0, "overlap": "skip", "success_within_hours": null}, "verify": null, "backup": null, "on_bad_record": "fail", "max_bad_records": 100, "rollback_on_failure": true, "progress_deadline_seconds": 600.0}','anna','docs is served by docs_20261102_020000',NULL,1,'2026-11-02 02:00:00.000000','2026-11-02 02:00:01.000000',20,'2026-11-02 02:00:01.000000',NULL,NULL,NULL,'2026-11-02 02:00:01.000000',0,NULL,NULL,NULL,'rollout');
INSERT INTO "deployments" VALUES('20945792793d','shop','blue_green','live',NULL,'shop_20261102_020001','jsonl:/frozen/shop.jsonl','{"source": "jsonl:shop.jsonl", "embedding": {"model": "hashing:64", "revision": null, "dtype": "float32", "text": "{text}", "vector": "", "chunk": null}, "collection": {"distance": null, "datatype": null, "on_disk": null, "hnsw": null, "quantization": null, "shard_number": null, "replication_factor": null, "on_disk_payload": null, "payload_indexes": {}}, "strategy": "blue_green", "validation": {"queries": [], "min_results": 5, "min_top_score": 0.7, "judged": null, "checks": {"overlap": {"bound": 0.1, "accept_inconclusive": true}, "latency_p50": false}, "slices": [], "samples": {"records": 12, "queries": 12, "judged": 50}, "seed": 7, "budget_seconds": 1800.0, "live_searches_per_second": 1000000.0}, "soak": {"seconds": 2.0, "interval_seconds": 1.0, "max_errors": 5}, "canary": {"stages": [{"percentage": 5.0, "duration_minutes": 2.0, "shadow": false}, {"percentage": 100.0, "duration_minutes": 0.0, "shadow": false}], "look_seconds": 30.0, "extension": 1.0, "min_searches": 200, "min_users": 100, "margins": {"p95": 0.1, "error_rate": 0.005}, "breakers": {"error_rate": 0.05, "calls": 200, "errors": 20, "mean_latency_ms": 200.0, "looks": 10}, "shadow_percentage": 10.0, "probing": false}, "grace_period_minutes": 60.0, "retention": {"versions": null, "days": null, "backups": null, "final_backup": false}, "rebuild": {"cron": "0 2 * * *", "zone": "UTC", "misfire": "once", "late_after_minutes": 60.0, "overlap": "skip", "success_within_hours": null}, "verify": null, "backup": null, "on_bad_record": "fail", "max_bad_records": 100, "rollback_on_failure": true, "progress_deadline_seconds": 600.0}','anna','shop is served by shop_20261102_020001',NULL,1,'2026-11-02 02:00:01.000000','2026-11-02 02:00:02.000000',20,'2026-11-02 02:00:02.000000',NULL,NULL,NULL,'2026-11-02 02:00:02.000000',0,NULL,NULL,NULL,'rollout');
INSERT INTO "deployments" VALUES('2f4eb1f31f49','shop_b','blue_green','live',NULL,'shop_b_20261102_020002','jsonl:/frozen/shop_b.jsonl','{"source": "jsonl:shop_b.jsonl", "embedding": {"model": "hashing:64", "revision": null, "dtype": "float32", "text": "{text}", "vector": "", "chunk": null}, "collection": {"distance": null, "datatype": null, "on_disk": null, "hnsw": null, "quantization": null, "shard_number": null, "replication_factor": null, "on_disk_payload": null, "payload_indexes": {}}, "strategy": "blue_green", "validation": {"queries": [], "min_results": 5, "min_top_score": 0.7, "judged": null, "checks": {"overlap": {"bound": 0.1, "accept_inconclusive": true}, "latency_p50": false}, "slices": [], "samples": {"records": 12, "queries": 12, "judged": 50}, "seed": 7, "budget_seconds": 1800.0, "live_searches_per_second": 1000000.0}, "soak": {"seconds": 2.0, "interval_seconds": 1.0, "max_errors": 5}, "canary": {"stages": [{"percentage": 5.0, "duration_minutes": 2.0, "shadow": false}, {"percentage": 100.0, "duration_minutes": 0.0, "shadow": false}], "look_seconds": 30.0, "extension": 1.0, "min_searches": 200, "min_users": 100, "margins": {"p95": 0.1, "error_rate": 0.005}, "breakers": {"error_rate": 0.05, "calls": 200, "errors": 20, "mean_latency_ms": 200.0, "looks": 10}, "shadow_percentage": 10.0, "probing": false}, "grace_period_minutes": 60.0, "retention": {"versions": null, "days": null, "backups": null, "final_backup": false}, "rebuild": {"cron": "0 2 * * *", "zone": "UTC", "misfire": "once", "late_after_minutes": 60.0, "overlap": "skip", "success_within_hours": null}, "verify": null, "backup": null, "on_bad_record": "fail", "max_bad_records": 100, "rollback_on_failure": true, "progress_deadline_seconds": 600.0}','anna','shop_b is served by shop_b_20261102_020002',NULL,1,'2026-11-02 02:00:02.000000','2026-11-02 02:00:03.000000',20,'2026-11-02 02:00:03.000000',NULL,NULL,NULL,'2026-11-02 02:00:03.000000',0,NULL,NULL,NULL,'rollout');
INSERT INTO "deployments" VALUES('2cf9c3b827fa','shop_b','blue_green','paused','shop_b_20261102_020002','shop_b_20261102_020003','jsonl:/frozen/shop_b.jsonl','{"source": "jsonl:shop_b.jsonl", "embedding": {"model": "hashing:64", "revision": null, "dtype": "float32", "text": "{text}", "vector": "", "chunk": null}, "collection": {"distance": null, "datatype": null, "on_disk": null, "hnsw": null, "quantization": null, "shard_number": null, "replication_factor": null, "on_disk_payload": null, "payload_indexes": {}}, "strategy": "blue_green", "validation": {"queries": [], "min_results": 5, "min_top_score": 0.7, "judged": null, "checks": {"overlap": {"bound": 0.1, "accept_inconclusive": true}, "latency_p50": false}, "slices": [], "samples": {"records": 12, "queries": 12, "judged": 50}, "seed": 7, "budget_seconds": 1800.0, "live_searches_per_second": 1000000.0}, "soak": {"seconds": 2.0, "interval_seconds": 1.0, "max_errors": 5}, "canary": {"stages": [{"percentage": 5.0, "duration_minutes": 2.0, "shadow": false}, {"percentage": 100.0, "duration_minutes": 0.0, "shadow": false}], "look_seconds": 30.0, "extension": 1.0, "min_searches": 200, "min_users": 100, "margins": {"p95": 0.1, "error_rate": 0.005}, "breakers": {"error_rate": 0.05, "calls": 200, "errors": 20, "mean_latency_ms": 200.0, "looks": 10}, "shadow_percentage": 10.0, "probing": false}, "grace_period_minutes": 60.0, "retention": {"versions": null, "days": null, "backups": null, "final_backup": false}, "rebuild": {"cron": "0 2 * * *", "zone": "UTC", "misfire": "once", "late_after_minutes": 60.0, "overlap": "skip", "success_within_hours": null}, "verify": null, "backup": null, "on_bad_record": "fail", "max_bad_records": 100, "rollback_on_failure": true, "progress_deadline_seconds": 600.0}','anna','paused by anna: to look at it','operator',2,'2026-11-02 02:00:03.000000',NULL,12,'2026-11-02 02:00:03.000000',NULL,NULL,NULL,'2026-11-02 02:00:03.000000',0,NULL,NULL,NULL,'rollout');
INSERT INTO "deployments" VALUES('7c32eb123be1','docs','canary','running','docs_20261102_020000','docs_20261102_020003','jsonl:/frozen/docs.jsonl','{"source": "jsonl:docs.jsonl", "embedding": {"model": "hashing:64", "revision": null, "dtype": "float32", "text": "{text}", "vector": "", "chunk": null}, "collection": {"distance": null, "datatype": null, "on_disk": null, "hnsw": null, "quantization": null, "shard_number": null, "replication_factor": null, "on_disk_payload": null, "payload_indexes": {}}, "strategy": "canary", "validation": {"queries": [], "min_results": 5, "min_top_score": 0.7, "judged": null, "checks": {"overlap": {"bound": 0.1, "accept_inconclusive": true}, "latency_p50": false}, "slices": [], "samples": {"records": 12, "queries": 12, "judged": 50}, "seed": 7, "budget_seconds": 1800.0, "live_searches_per_second": 1000000.0}, "soak": {"seconds": 2.0, "interval_seconds": 1.0, "max_errors": 5}, "canary": {"stages": [{"percentage": 5.0, "duration_minutes": 2.0, "shadow": false}, {"percentage": 100.0, "duration_minutes": 0.0, "shadow": false}], "look_seconds": 30.0, "extension": 1.0, "min_searches": 200, "min_users": 100, "margins": {"p95": 0.1, "error_rate": 0.005}, "breakers": {"error_rate": 0.05, "calls": 200, "errors": 20, "mean_latency_ms": 200.0, "looks": 10}, "shadow_percentage": 10.0, "probing": false}, "grace_period_minutes": 60.0, "retention": {"versions": null, "days": null, "backups": null, "final_backup": false}, "rebuild": {"cron": "0 2 * * *", "zone": "UTC", "misfire": "once", "late_after_minutes": 60.0, "overlap": "skip", "success_within_hours": null}, "verify": null, "backup": null, "on_bad_record": "fail", "max_bad_records": 100, "rollback_on_failure": true, "progress_deadline_seconds": 600.0}','anna','',NULL,2,'2026-11-02 02:00:03.000000',NULL,17,'2026-11-02 02:01:33.000000',NULL,NULL,NULL,'2026-11-02 02:01:03.000000',0,NULL,NULL,NULL,'rollout');
CREATE TABLE events (
	id INTEGER NOT NULL, 
	deployment_id TEXT, 
	alias TEXT, 
	at DATETIME NOT NULL, 
	actor TEXT NOT NULL, 
	event TEXT NOT NULL, 
	detail TEXT NOT NULL, reason TEXT DEFAULT '' NOT NULL, source TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
INSERT INTO "events" VALUES(1,'95ac36a474dc','docs','2026-11-02 02:00:00.000000','anna','deployment.pending','blue_green: create -> populate -> validate -> switch -> soak; docs_20261102_020000','','python');
INSERT INTO "events" VALUES(2,'95ac36a474dc','docs','2026-11-02 02:00:00.000000','system','deployment.running','','','python');
INSERT INTO "events" VALUES(3,'95ac36a474dc','docs','2026-11-02 02:00:00.000000','system','create.done','made from the index file','','python');
INSERT INTO "events" VALUES(4,'95ac36a474dc','docs','2026-11-02 02:00:00.000000','system','populate.done','12 points by records, 12 embedded','','python');
INSERT INTO "events" VALUES(5,'95ac36a474dc','docs','2026-11-02 02:00:00.000000','system','validate.done','pass; no validation queries are configured: whether search answers well was not checked','','python');
INSERT INTO "events" VALUES(6,'95ac36a474dc','docs','2026-11-02 02:00:00.000000','system','alias.switched','nothing -> docs_20261102_020000','','python');
INSERT INTO "events" VALUES(7,'95ac36a474dc','docs','2026-11-02 02:00:00.000000','system','switch.done','docs is on docs_20261102_020000','','python');
INSERT INTO "events" VALUES(8,'95ac36a474dc','docs','2026-11-02 02:00:01.000000','system','soak.done','2 looks, 0 errors, no searches through a router','','python');
INSERT INTO "events" VALUES(9,'95ac36a474dc','docs','2026-11-02 02:00:01.000000','system','deployment.live','docs is served by docs_20261102_020000','','python');
INSERT INTO "events" VALUES(10,'20945792793d','shop','2026-11-02 02:00:01.000000','anna','deployment.pending','blue_green: create -> populate -> validate -> switch -> soak; shop_20261102_020001','','python');
INSERT INTO "events" VALUES(11,'20945792793d','shop','2026-11-02 02:00:01.000000','system','deployment.running','','','python');
INSERT INTO "events" VALUES(12,'20945792793d','shop','2026-11-02 02:00:01.000000','system','create.done','made from the index file','','python');
INSERT INTO "events" VALUES(13,'20945792793d','shop','2026-11-02 02:00:01.000000','system','populate.done','12 points by records, 12 embedded','','python');
INSERT INTO "events" VALUES(14,'20945792793d','shop','2026-11-02 02:00:01.000000','system','validate.done','pass; no validation queries are configured: whether search answers well was not checked','','python');
INSERT INTO "events" VALUES(15,'20945792793d','shop','2026-11-02 02:00:01.000000','system','alias.switched','nothing -> shop_20261102_020001','','python');
INSERT INTO "events" VALUES(16,'20945792793d','shop','2026-11-02 02:00:01.000000','system','switch.done','shop is on shop_20261102_020001','','python');
INSERT INTO "events" VALUES(17,'20945792793d','shop','2026-11-02 02:00:02.000000','system','soak.done','2 looks, 0 errors, no searches through a router','','python');
INSERT INTO "events" VALUES(18,'20945792793d','shop','2026-11-02 02:00:02.000000','system','deployment.live','shop is served by shop_20261102_020001','','python');
INSERT INTO "events" VALUES(19,'2f4eb1f31f49','shop_b','2026-11-02 02:00:02.000000','anna','deployment.pending','blue_green: create -> populate -> validate -> switch -> soak; shop_b_20261102_020002','','python');
INSERT INTO "events" VALUES(20,'2f4eb1f31f49','shop_b','2026-11-02 02:00:02.000000','system','deployment.running','','','python');
INSERT INTO "events" VALUES(21,'2f4eb1f31f49','shop_b','2026-11-02 02:00:02.000000','system','create.done','made from the index file','','python');
INSERT INTO "events" VALUES(22,'2f4eb1f31f49','shop_b','2026-11-02 02:00:02.000000','system','populate.done','12 points by records, 12 embedded','','python');
INSERT INTO "events" VALUES(23,'2f4eb1f31f49','shop_b','2026-11-02 02:00:02.000000','system','validate.done','pass; no validation queries are configured: whether search answers well was not checked','','python');
INSERT INTO "events" VALUES(24,'2f4eb1f31f49','shop_b','2026-11-02 02:00:02.000000','system','alias.switched','nothing -> shop_b_20261102_020002','','python');
INSERT INTO "events" VALUES(25,'2f4eb1f31f49','shop_b','2026-11-02 02:00:02.000000','system','switch.done','shop_b is on shop_b_20261102_020002','','python');
INSERT INTO "events" VALUES(26,'2f4eb1f31f49','shop_b','2026-11-02 02:00:03.000000','system','soak.done','2 looks, 0 errors, no searches through a router','','python');
INSERT INTO "events" VALUES(27,'2f4eb1f31f49','shop_b','2026-11-02 02:00:03.000000','system','deployment.live','shop_b is served by shop_b_20261102_020002','','python');
INSERT INTO "events" VALUES(28,NULL,'docs','2026-11-02 02:00:03.000000','system','schedule.declared','rebuild: 0 2 * * * in UTC, says the index file','','python');
INSERT INTO "events" VALUES(29,NULL,'shop','2026-11-02 02:00:03.000000','system','schedule.declared','rebuild: 0 2 * * * in UTC, says the index file','','python');
INSERT INTO "events" VALUES(30,NULL,'shop_b','2026-11-02 02:00:03.000000','system','schedule.declared','rebuild: 0 2 * * * in UTC, says the index file','','python');
INSERT INTO "events" VALUES(31,'2cf9c3b827fa','shop_b','2026-11-02 02:00:03.000000','anna','deployment.pending','blue_green: create -> populate -> validate -> switch -> soak; shop_b_20261102_020003','','python');
INSERT INTO "events" VALUES(32,'2cf9c3b827fa','shop_b','2026-11-02 02:00:03.000000','system','deployment.running','','','python');
INSERT INTO "events" VALUES(33,'2cf9c3b827fa','shop_b','2026-11-02 02:00:03.000000','system','create.done','cloned from shop_b_20261102_020002','','python');
INSERT INTO "events" VALUES(34,'2cf9c3b827fa','shop_b','2026-11-02 02:00:03.000000','system','populate.done','12 points by records, 12 reused','','python');
INSERT INTO "events" VALUES(35,'2cf9c3b827fa','shop_b','2026-11-02 02:00:03.000000','anna','pause.requested','to look at it','to look at it','python');
INSERT INTO "events" VALUES(36,'2cf9c3b827fa','shop_b','2026-11-02 02:00:03.000000','anna','deployment.paused','paused by anna: to look at it','','python');
INSERT INTO "events" VALUES(37,'7c32eb123be1','docs','2026-11-02 02:00:03.000000','anna','deployment.pending','canary: create -> populate -> validate -> shift -> shift -> switch -> soak; docs_20261102_020003','','python');
INSERT INTO "events" VALUES(38,'7c32eb123be1','docs','2026-11-02 02:00:03.000000','system','deployment.running','','','python');
INSERT INTO "events" VALUES(39,'7c32eb123be1','docs','2026-11-02 02:00:03.000000','system','create.done','cloned from docs_20261102_020000','','python');
INSERT INTO "events" VALUES(40,'7c32eb123be1','docs','2026-11-02 02:00:03.000000','system','populate.done','12 points by records, 12 reused','','python');
INSERT INTO "events" VALUES(41,'7c32eb123be1','docs','2026-11-02 02:00:03.000000','system','validate.done','pass; no validation queries are configured: whether search answers well was not checked','','python');
INSERT INTO "events" VALUES(42,'7c32eb123be1','docs','2026-11-02 02:00:03.000000','system','route.changed','version 2: 5 % docs_20261102_020003, the rest docs_20261102_020000','','python');
INSERT INTO "events" VALUES(43,NULL,'shop','2026-11-02 02:01:03.000000','anna','experiment.created','61a9f9370ce3 colours: control shop_20261102_020001 50 %, treatment shop_b_20261102_020002 50 %; latency (guardrail), latency_p95 (guardrail), clicks (primary)','','python');
INSERT INTO "events" VALUES(44,NULL,'shop','2026-11-02 02:01:03.000000','anna','experiment.started','61a9f9370ce3 colours: control shop_20261102_020001 50 %, treatment shop_b_20261102_020002 50 %; latency (guardrail), latency_p95 (guardrail), clicks (primary)','','python');
INSERT INTO "events" VALUES(45,NULL,'shop','2026-11-02 02:01:03.000000','anna','route.changed','version 2: experiment 61a9f9370ce3: 50 % shop_20261102_020001, 50 % shop_b_20261102_020002, the rest shop_20261102_020001','','python');
CREATE TABLE experiment_counts (
	experiment_id TEXT NOT NULL, 
	what TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	metric TEXT NOT NULL, 
	count INTEGER NOT NULL, 
	total FLOAT NOT NULL, 
	PRIMARY KEY (experiment_id, what, variant, metric)
);
CREATE TABLE experiment_looks (
	experiment_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	report JSON NOT NULL, 
	PRIMARY KEY (experiment_id, number), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (id)
);
INSERT INTO "experiment_looks" VALUES('61a9f9370ce3',1,'2026-11-02 02:03:03.000000','{"id": "61a9f9370ce3", "name": "colours", "alias": "shop", "status": "running", "mode": "ab", "goal": "superiority", "at": "2026-11-02T02:03:03Z", "days": 0.001389, "look": 1, "arms": {"control": "shop_20261102_020001", "treatment": "shop_b_20261102_020002"}, "units": {"control": 30, "treatment": 30}, "closed_units": {"control": 0, "treatment": 0}, "comparisons": [{"metric": "latency", "role": "guardrail", "kind": "ratio", "variant": "treatment", "scale": "absolute", "units": [30, 30], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": false, "t_test": null, "alpha": 0.05, "margin": 0.04879016416943205, "min_effect": 0.04879016416943205, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "variance_not_positive", "left_out": [[0, "variance_not_positive"]], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "variance_not_positive"}, "direction": -1, "p_adjusted": null}, {"metric": "latency_p95", "role": "guardrail", "kind": "quantile", "variant": "treatment", "scale": "relative", "units": [30, 30], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": true, "t_test": null, "alpha": 0.05, "margin": 0.1, "min_effect": 0.1, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "quantile_unresolved", "left_out": [[0, "quantile_unresolved"]], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "quantile_unresolved"}, "direction": -1, "p_adjusted": null}, {"metric": "clicks", "role": "primary", "kind": "ratio", "variant": "treatment", "scale": "relative", "units": [30, 30], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": true, "t_test": null, "alpha": 0.05, "margin": 0.02, "min_effect": 0.02, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "variance_not_positive", "left_out": [[0, "variance_not_positive"]], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "variance_not_positive"}, "direction": 1, "p_adjusted": null}], "closed": [{"metric": "latency", "role": "guardrail", "kind": "ratio", "variant": "treatment", "scale": "absolute", "units": [0, 0], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": false, "t_test": null, "alpha": 0.05, "margin": 0.04879016416943205, "min_effect": 0.04879016416943205, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "no_data", "left_out": [], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "no_data"}, "direction": -1, "p_adjusted": null}, {"metric": "latency_p95", "role": "guardrail", "kind": "quantile", "variant": "treatment", "scale": "relative", "units": [0, 0], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": true, "t_test": null, "alpha": 0.05, "margin": 0.1, "min_effect": 0.1, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "no_data", "left_out": [], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "no_data"}, "direction": -1, "p_adjusted": null}, {"metric": "clicks", "role": "primary", "kind": "ratio", "variant": "treatment", "scale": "relative", "units": [0, 0], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": true, "t_test": null, "alpha": 0.05, "margin": 0.02, "min_effect": 0.02, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "no_data", "left_out": [], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "no_data"}, "direction": 1, "p_adjusted": null}], "shares": {"counts": [30, 30], "weights": [5000, 5000], "p": 1.0, "chi_square_p": 1.0}, "quality": {"srm_p": 1.0, "crossover": 0.0, "orphans": 0.0, "changed": ""}, "decision": {"action": "KEEP_RUNNING", "reason": "30 of at least 100 units in each arm", "days_left": 0.003240740740740741, "variant": null}, "counts": []}');
INSERT INTO "experiment_looks" VALUES('61a9f9370ce3',2,'2026-11-02 02:05:03.000000','{"id": "61a9f9370ce3", "name": "colours", "alias": "shop", "status": "running", "mode": "ab", "goal": "superiority", "at": "2026-11-02T02:05:03Z", "days": 0.002778, "look": 2, "arms": {"control": "shop_20261102_020001", "treatment": "shop_b_20261102_020002"}, "units": {"control": 30, "treatment": 30}, "closed_units": {"control": 0, "treatment": 0}, "comparisons": [{"metric": "latency", "role": "guardrail", "kind": "ratio", "variant": "treatment", "scale": "absolute", "units": [30, 30], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": false, "t_test": null, "alpha": 0.05, "margin": 0.04879016416943205, "min_effect": 0.04879016416943205, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "variance_not_positive", "left_out": [[0, "variance_not_positive"]], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "variance_not_positive"}, "direction": -1, "p_adjusted": null}, {"metric": "latency_p95", "role": "guardrail", "kind": "quantile", "variant": "treatment", "scale": "relative", "units": [30, 30], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": true, "t_test": null, "alpha": 0.05, "margin": 0.1, "min_effect": 0.1, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "quantile_unresolved", "left_out": [[0, "quantile_unresolved"]], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "quantile_unresolved"}, "direction": -1, "p_adjusted": null}, {"metric": "clicks", "role": "primary", "kind": "ratio", "variant": "treatment", "scale": "relative", "units": [30, 30], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": true, "t_test": null, "alpha": 0.05, "margin": 0.02, "min_effect": 0.02, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "variance_not_positive", "left_out": [[0, "variance_not_positive"]], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "variance_not_positive"}, "direction": 1, "p_adjusted": null}], "closed": [{"metric": "latency", "role": "guardrail", "kind": "ratio", "variant": "treatment", "scale": "absolute", "units": [0, 0], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": false, "t_test": null, "alpha": 0.05, "margin": 0.04879016416943205, "min_effect": 0.04879016416943205, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "no_data", "left_out": [], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "no_data"}, "direction": -1, "p_adjusted": null}, {"metric": "latency_p95", "role": "guardrail", "kind": "quantile", "variant": "treatment", "scale": "relative", "units": [0, 0], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": true, "t_test": null, "alpha": 0.05, "margin": 0.1, "min_effect": 0.1, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "no_data", "left_out": [], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "no_data"}, "direction": -1, "p_adjusted": null}, {"metric": "clicks", "role": "primary", "kind": "ratio", "variant": "treatment", "scale": "relative", "units": [0, 0], "control": null, "treatment": null, "difference": null, "standard_error": null, "low": null, "high": null, "bound_low": null, "bound_high": null, "p": null, "relative": true, "t_test": null, "alpha": 0.05, "margin": 0.02, "min_effect": 0.02, "better": false, "worse": false, "not_worse": false, "verdict": "unclear", "reason": "no_data", "left_out": [], "relative_effect": {"effect": null, "low": null, "high": null, "reason": "no_data"}, "direction": 1, "p_adjusted": null}], "shares": {"counts": [30, 30], "weights": [5000, 5000], "p": 1.0, "chi_square_p": 1.0}, "quality": {"srm_p": 1.0, "crossover": 0.0, "orphans": 0.0, "changed": ""}, "decision": {"action": "KEEP_RUNNING", "reason": "30 of at least 100 units in each arm", "days_left": 0.006481481481481482, "variant": null}, "counts": []}');
CREATE TABLE experiments (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	alias TEXT, 
	route TEXT NOT NULL, 
	status TEXT NOT NULL, 
	spec JSON NOT NULL, 
	stages JSON NOT NULL, 
	actor TEXT NOT NULL, 
	message TEXT NOT NULL, 
	looks INTEGER NOT NULL, 
	decision JSON NOT NULL, 
	deployment_id TEXT, 
	created_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	next_look_at DATETIME, 
	PRIMARY KEY (id), 
	FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
INSERT INTO "experiments" VALUES('61a9f9370ce3','colours','shop','shop','running','{"arms": [{"variant": "control", "collection": "shop_20261102_020001", "weight": 5000, "identity": "hashing|signed words, 1 + log(count), unit length|64"}, {"variant": "treatment", "collection": "shop_b_20261102_020002", "weight": 5000, "identity": "hashing|signed words, 1 + log(count), unit length|64"}], "metrics": [{"name": "latency", "kind": "ratio", "source": "latency", "per": "search", "direction": "down", "role": "guardrail", "margin": 0.04879016416943205, "relative": false, "min_effect": null, "target": 0.09531017980432493, "level": 0.95}, {"name": "latency_p95", "kind": "quantile", "source": "latency", "per": "value", "direction": "down", "role": "guardrail", "margin": 0.1, "relative": true, "min_effect": null, "target": null, "level": 0.95}, {"name": "clicks", "kind": "ratio", "source": "feedback", "per": "search", "direction": "up", "role": "primary", "margin": 0.02, "relative": true, "min_effect": null, "target": null, "level": 0.95}], "mode": "ab", "goal": "superiority", "coverage": 10000, "alpha": 0.05, "n_star": 5500, "window_hours": 1.0, "min_days": 0.0, "max_days": 28.0, "min_units": 100, "min_conversions": 10, "target": 0.1, "look_minutes": 1.0, "on_ship": "nothing", "document": "id"}','[{"coverage": 10000, "started_at": "2026-11-02T02:01:03.000Z"}]','anna','',2,'{"action": "KEEP_RUNNING", "reason": "30 of at least 100 units in each arm", "days_left": 0.006481481481481482, "variant": null}',NULL,'2026-11-02 02:01:03.000000','2026-11-02 02:01:03.000000',NULL,'2026-11-02 02:06:03.000000');
CREATE TABLE exposures (
	experiment_id TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	stage INTEGER NOT NULL, 
	bucket INTEGER NOT NULL, 
	collection TEXT NOT NULL, 
	first_seen_at DATETIME NOT NULL, 
	closes_at DATETIME NOT NULL, 
	crossed BOOLEAN NOT NULL, 
	PRIMARY KEY (experiment_id, unit), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (id)
)
 WITHOUT ROWID

;
INSERT INTO "exposures" VALUES('61a9f9370ce3','017142018363214c4f4bb17c','treatment',1,11,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','04f6eadfc77a08ed247dcd39','control',1,4,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','089b0fb414d9e64391564ed7','control',1,52,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','092c079c45c2f742e3deab6d','treatment',1,9,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','09726fce51b33e23ddf1a01e','control',1,56,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','0af195f7892077f2040fef06','control',1,42,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','0bf6e89ff5cf7f94cf95e236','treatment',1,53,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','0d7e0acae9b31b3c4f2f57db','control',1,30,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','13df8b408067b60c80e2b091','treatment',1,43,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','144738c85cbc55ab623e5ca3','control',1,46,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','1fe41c57e8d0a6acbe083748','control',1,22,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','23df55566769aaf650b2c0f3','treatment',1,21,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','2781ea2ea288902e916fb4e8','treatment',1,47,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','2c6f416c44a6f5a5d4768459','control',1,58,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','313fc359070587ae9b4abe8f','treatment',1,51,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','33894c5806af66d6df7db6a2','treatment',1,25,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','34db91444c8e6b2eb67c8673','control',1,10,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','3897de7abeea9ff498cb4c60','control',1,12,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','47211e3c1a8a5fb3f10f5ac1','treatment',1,3,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','483d146d594b90a21ee5ce2c','treatment',1,5,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','50cce7132eb32ed7bc7918b1','control',1,26,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','5748fa78456bb25b1bcaf56f','control',1,50,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','57ddcf6604431e6c364d6231','treatment',1,45,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','5c4e624db864a346504dafcc','control',1,36,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','665a9c086efc7bf9f977a744','control',1,16,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','6959fa8afcaed498c9a4a9a3','treatment',1,41,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','7060def324d5f53c795cfe1f','treatment',1,13,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','77842a3597c3c593b884a9b0','treatment',1,39,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','78cf82a823d6e5b709acb26c','control',1,40,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','8a4b8acd6ec2839119e11055','treatment',1,49,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','8cfc3ab6a6bbe97641087da6','control',1,48,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','92857dbb51885d7352300cc4','treatment',1,29,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','92b21bb46ed9e9c20815aea7','control',1,6,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','977d930da45ecbb7ad467d52','treatment',1,15,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','9d2bffab38c2b6af95889ddb','treatment',1,37,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','a80715b578d35863fab2d40a','treatment',1,1,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','ab296159fb4f6064ef7b46f8','control',1,28,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','ac6070fa97b0fb1d09f345ab','control',1,14,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','b1c983a32e3c8947f29b5a39','treatment',1,33,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','b7c0cfcf9a86ff55bcb687be','treatment',1,31,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','ba642983e001bbcd8b00d954','control',1,8,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','bdad3c7d9a36dec477e1dbc0','control',1,24,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','bfddbba364655dad9bbad79a','control',1,32,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','c02cc1e2e421544acb4b6821','treatment',1,19,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','c33949480e679a73caae0080','control',1,34,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','c536547800c191ae5d0f23b0','control',1,44,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','c5aa8d09b29ebb95b1f063b7','treatment',1,27,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','cfc955a78b1b4731269236c7','treatment',1,35,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','d93375ffcb369613bb066214','treatment',1,7,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','d97b1ec53b7c462442acd044','control',1,38,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','db0d0c4d74a9fabe6cf4c233','control',1,0,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','e1adde3308a2b0e22e3fc364','treatment',1,17,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','e1b57e1f70914a476a441af3','treatment',1,55,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','e2f19cb08b88848e7d090f32','treatment',1,23,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','e9f80981f98f9c02794b5d2f','control',1,54,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','eafe49cbb0e17daf4a5f5114','treatment',1,57,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','ec2025dad64ff0b0e1eb8cf9','control',1,2,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','ec2f3ee4c4b96a531cf319ef','treatment',1,59,'shop_b_20261102_020002','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','f054d2c081471ac59cb22441','control',1,18,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
INSERT INTO "exposures" VALUES('61a9f9370ce3','f67c4aa44ad1dd1b03073919','control',1,20,'shop_20261102_020001','2026-11-02 02:01:03.000000','2026-11-02 03:01:03.000000',0);
CREATE TABLE feedback_keys (
	experiment_id TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (experiment_id, "key"), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (id)
);
CREATE TABLE impressions (
	experiment_id TEXT NOT NULL, 
	query_id TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	served JSON NOT NULL, 
	closes_at DATETIME NOT NULL, 
	PRIMARY KEY (experiment_id, query_id), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (id)
)
 WITHOUT ROWID

;
CREATE TABLE once (
	caller TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	claim INTEGER NOT NULL, 
	lease_until DATETIME NOT NULL, 
	started TEXT, 
	answer JSON, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (caller, "key")
);
CREATE TABLE routes (
	alias TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	deployment_id TEXT, 
	stage TEXT NOT NULL, 
	salt TEXT NOT NULL, 
	blue TEXT, 
	green TEXT, 
	share INTEGER NOT NULL, 
	shadow INTEGER NOT NULL, 
	changed_at DATETIME NOT NULL, experiment_id TEXT, arms JSON DEFAULT '[]' NOT NULL, 
	PRIMARY KEY (alias), 
	FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
INSERT INTO "routes" VALUES('docs',2,'7c32eb123be1','7c32eb123be1/3','7c32eb123be1','docs_20261102_020000','docs_20261102_020003',500,0,'2026-11-02 02:00:03.000000',NULL,'[]');
INSERT INTO "routes" VALUES('shop',2,NULL,'experiment/61a9f9370ce3/1','61a9f9370ce3','shop_20261102_020001',NULL,0,0,'2026-11-02 02:01:03.000000','61a9f9370ce3','[{"variant": "control", "collection": "shop_20261102_020001", "ranges": [[0, 5000]]}, {"variant": "treatment", "collection": "shop_b_20261102_020002", "ranges": [[5000, 10000]]}]');
INSERT INTO "routes" VALUES('shop_b',1,NULL,'2f4eb1f31f49/4','',NULL,NULL,0,0,'2026-11-02 02:00:02.000000',NULL,'[]');
CREATE TABLE schedule_runs (
	id INTEGER NOT NULL, 
	schedule_id INTEGER NOT NULL, 
	nominal_at DATETIME NOT NULL, 
	status TEXT NOT NULL, 
	message TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	deployment_id TEXT, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	turn INTEGER NOT NULL, 
	crashes INTEGER NOT NULL, 
	lease_until DATETIME, 
	state JSON NOT NULL, 
	result JSON NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (schedule_id, nominal_at), 
	FOREIGN KEY(schedule_id) REFERENCES schedules (id), 
	FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
CREATE TABLE schedules (
	id INTEGER NOT NULL, 
	alias TEXT NOT NULL, 
	action TEXT NOT NULL, 
	spec JSON, 
	declared JSON, 
	next_at DATETIME, 
	paused_by TEXT, 
	reason TEXT NOT NULL, 
	waiting_since DATETIME NOT NULL, 
	told_at DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (alias, action)
);
INSERT INTO "schedules" VALUES(1,'docs','rebuild','{"cron": "0 2 * * *", "zone": "UTC", "misfire": "once", "late_after_minutes": 60.0, "overlap": "skip", "success_within_hours": null}','{"cron": "0 2 * * *", "zone": "UTC", "misfire": "once", "late_after_minutes": 60.0, "overlap": "skip", "success_within_hours": null}','2026-11-03 02:00:00.000000',NULL,'','2026-11-02 02:00:03.000000',NULL);
INSERT INTO "schedules" VALUES(2,'shop','rebuild','{"cron": "0 2 * * *", "zone": "UTC", "misfire": "once", "late_after_minutes": 60.0, "overlap": "skip", "success_within_hours": null}','{"cron": "0 2 * * *", "zone": "UTC", "misfire": "once", "late_after_minutes": 60.0, "overlap": "skip", "success_within_hours": null}','2026-11-03 02:00:00.000000',NULL,'','2026-11-02 02:00:03.000000',NULL);
INSERT INTO "schedules" VALUES(3,'shop_b','rebuild','{"cron": "0 2 * * *", "zone": "UTC", "misfire": "once", "late_after_minutes": 60.0, "overlap": "skip", "success_within_hours": null}','{"cron": "0 2 * * *", "zone": "UTC", "misfire": "once", "late_after_minutes": 60.0, "overlap": "skip", "success_within_hours": null}','2026-11-03 02:00:00.000000',NULL,'','2026-11-02 02:00:03.000000',NULL);
CREATE TABLE searchers (
	process TEXT NOT NULL, 
	alias TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	seen_at DATETIME NOT NULL, 
	PRIMARY KEY (process, alias)
);
CREATE TABLE service_clock (
	id INTEGER NOT NULL, 
	elapsed DOUBLE NOT NULL, 
	last DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE sessions (
	digest TEXT NOT NULL, 
	token_id TEXT, 
	proof TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME NOT NULL, 
	PRIMARY KEY (digest), 
	FOREIGN KEY(token_id) REFERENCES tokens (id)
);
CREATE TABLE sketches (
	id INTEGER NOT NULL, 
	experiment_id TEXT NOT NULL, 
	metric TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	stage INTEGER NOT NULL, 
	closes_at DATETIME, 
	tally JSON NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (id)
);
INSERT INTO "sketches" VALUES(1,'61a9f9370ce3','latency_p95','control',1,'2026-11-02 03:02:30.000000','{"cells": [[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58], [100, 102, 104, 106, 101, 103, 105, 100, 102, 104, 106, 101, 103, 105, 100, 102, 104, 106, 101, 103, 105, 100, 102, 104, 106, 101, 103, 105, 100, 102], [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]], "failed": [[], []], "nothing": [[], []], "seconds": 0.0, "fallbacks": 0, "anonymous": 0, "pairs": 0, "overlap": 0.0, "overlap_squares": 0.0, "log_ratio": 0.0, "log_ratio_squares": 0.0}');
INSERT INTO "sketches" VALUES(2,'61a9f9370ce3','latency_p95','treatment',1,'2026-11-02 03:02:30.000000','{"cells": [[1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59], [101, 103, 105, 100, 102, 104, 106, 101, 103, 105, 100, 102, 104, 106, 101, 103, 105, 100, 102, 104, 106, 101, 103, 105, 100, 102, 104, 106, 101, 103], [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]], "failed": [[], []], "nothing": [[], []], "seconds": 0.0, "fallbacks": 0, "anonymous": 0, "pairs": 0, "overlap": 0.0, "overlap_squares": 0.0, "log_ratio": 0.0, "log_ratio_squares": 0.0}');
CREATE TABLE steps (
	deployment_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	queue TEXT NOT NULL, 
	status TEXT NOT NULL, 
	tries INTEGER NOT NULL, 
	crashes INTEGER NOT NULL, 
	waited DOUBLE NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	undone_at DATETIME, 
	message TEXT NOT NULL, 
	state JSON NOT NULL, 
	output JSON NOT NULL, attempt INTEGER DEFAULT '1' NOT NULL, arguments JSON DEFAULT '{}' NOT NULL, 
	PRIMARY KEY (deployment_id, position), 
	FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
INSERT INTO "steps" VALUES('95ac36a474dc',0,'create','bulk','done',1,0,0.0,'2026-11-02 02:00:00.000000','2026-11-02 02:00:00.000000',NULL,'made from the index file','{}','{"summary": "made from the index file", "vector": "", "schema": {"params": {"vectors": {"size": 64, "distance": "Cosine"}}, "payload_schema": {}}}',1,'{}');
INSERT INTO "steps" VALUES('95ac36a474dc',1,'populate','bulk','done',1,0,0.0,'2026-11-02 02:00:00.000000','2026-11-02 02:00:00.000000',NULL,'12 points by records, 12 embedded','{"way": "records", "print": "fe93b69ab2b504489c77dfa9c7a5c6f3", "gone": 0, "bad": 0, "bad_samples": [], "embedded": 12, "truncated": 0, "written": 12, "cursor": {"file": 0, "offset": 640, "line": 12, "n": 12, "done": 640, "print": "fe93b69ab2b504489c77dfa9c7a5c6f3"}, "read": 12, "window": 48, "progress": {"done": 640, "size": 640, "unit": "source", "rate": 736.2, "records": 12}, "filled": true, "expected": 12}','{"summary": "12 points by records, 12 embedded", "way": "records", "print": "fe93b69ab2b504489c77dfa9c7a5c6f3", "expected": 12, "written": 12, "embedded": 12, "truncated": 0, "bad": 0, "bad_samples": [], "gone": 0, "looks": 3, "progress": {"done": 640, "size": 640, "unit": "source", "rate": 736.2, "records": 12}}',1,'{}');
INSERT INTO "steps" VALUES('95ac36a474dc',2,'validate','bulk','done',1,0,0.0,'2026-11-02 02:00:00.000000','2026-11-02 02:00:00.000000',NULL,'pass; no validation queries are configured: whether search answers well was not checked','{}','{"gate": {"verdict": "pass", "collection": "docs_20261102_020000", "live": null, "seed": 7, "seconds": 0.0, "warnings": ["no validation queries are configured: whether search answers well was not checked", "no judged queries: whether answers got worse in meaning was not checked (validation.judged)"], "checks": [{"name": "ready", "value": 4.0, "bound": 1.0, "n": 4, "verdict": "pass", "level": "hard", "detail": "ready in 4 looks in a row"}, {"name": "count", "value": 12.0, "bound": 12.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "exact count of docs_20261102_020000 against 12 records of the source, must be equal"}, {"name": "vector_schema", "value": 0.0, "bound": 0.0, "n": 1, "verdict": "pass", "level": "hard", "detail": "vectors unnamed as wanted"}, {"name": "payload_schema", "value": 0.0, "bound": 0.0, "n": 0, "verdict": "pass", "level": "hard", "detail": "0 payload indexes, as in the live collection and the index file"}, {"name": "model_stamp", "value": 0.0, "bound": 0.0, "n": 1, "verdict": "pass", "level": "hard", "detail": "made with hashing|signed words, 1 + log(count), unit length|64, as declared"}, {"name": "round_trip", "value": 0.0, "bound": 0.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "records found as the source has them, embedded again to the same vectors"}, {"name": "vector_sanity", "value": 0.0, "bound": 0.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "all 12 finite and not zero; 0 of 12 share a vector with another text"}, {"name": "self_retrieval", "value": 1.0, "bound": 0.99, "n": 12, "verdict": "pass", "level": "hard", "detail": "at least; every one found itself"}, {"name": "ann_recall@10", "value": 1.0, "bound": 0.9, "n": 12, "verdict": "pass", "level": "hard", "detail": "interval [1, 1], low >= bound; exact by size: no index to judge; 0 queries below 0.8"}, {"name": "zero_result", "value": 0.0, "bound": 0.005, "n": 12, "verdict": "pass", "level": "hard", "detail": "at most; empty here only: none; empty on live only: 0"}], "attribution": null, "worst": [], "deployment": "95ac36a474dc", "attempt": 1}, "summary": "pass; no validation queries are configured: whether search answers well was not checked"}',1,'{}');
INSERT INTO "steps" VALUES('95ac36a474dc',3,'switch','control','done',1,0,0.0,'2026-11-02 02:00:00.000000','2026-11-02 02:00:00.000000',NULL,'docs is on docs_20261102_020000','{}','{"summary": "docs is on docs_20261102_020000", "from": null, "moved": true}',1,'{}');
INSERT INTO "steps" VALUES('95ac36a474dc',4,'soak','control','done',1,0,0.0,'2026-11-02 02:00:00.000000','2026-11-02 02:00:01.000000',NULL,'2 looks, 0 errors, no searches through a router','{"looks": 2, "errors": 0, "last_error": "", "progress": {"done": 2, "size": 2, "unit": "looks"}, "judged": [0.0, 0, 0]}','{"summary": "2 looks, 0 errors, no searches through a router", "looks": 2, "errors": 0, "last_error": "", "traffic": {"searches": 0, "user_groups": 0, "anonymous": 0, "errors": 0, "fallbacks": 0, "error_rate": null, "zero_result_rate": null, "p50_ms": null, "p95_ms": null, "p99_ms": null}}',1,'{}');
INSERT INTO "steps" VALUES('20945792793d',0,'create','bulk','done',1,0,0.0,'2026-11-02 02:00:01.000000','2026-11-02 02:00:01.000000',NULL,'made from the index file','{}','{"summary": "made from the index file", "vector": "", "schema": {"params": {"vectors": {"size": 64, "distance": "Cosine"}}, "payload_schema": {}}}',1,'{}');
INSERT INTO "steps" VALUES('20945792793d',1,'populate','bulk','done',1,0,0.0,'2026-11-02 02:00:01.000000','2026-11-02 02:00:01.000000',NULL,'12 points by records, 12 embedded','{"way": "records", "print": "3036e843feb720d8d5f81979a23b2761", "gone": 0, "bad": 0, "bad_samples": [], "embedded": 12, "truncated": 0, "written": 12, "cursor": {"file": 0, "offset": 640, "line": 12, "n": 12, "done": 640, "print": "3036e843feb720d8d5f81979a23b2761"}, "read": 12, "window": 48, "progress": {"done": 640, "size": 640, "unit": "source", "rate": 3343.8, "records": 12}, "filled": true, "expected": 12}','{"summary": "12 points by records, 12 embedded", "way": "records", "print": "3036e843feb720d8d5f81979a23b2761", "expected": 12, "written": 12, "embedded": 12, "truncated": 0, "bad": 0, "bad_samples": [], "gone": 0, "looks": 3, "progress": {"done": 640, "size": 640, "unit": "source", "rate": 3343.8, "records": 12}}',1,'{}');
INSERT INTO "steps" VALUES('20945792793d',2,'validate','bulk','done',1,0,0.0,'2026-11-02 02:00:01.000000','2026-11-02 02:00:01.000000',NULL,'pass; no validation queries are configured: whether search answers well was not checked','{}','{"gate": {"verdict": "pass", "collection": "shop_20261102_020001", "live": null, "seed": 7, "seconds": 0.0, "warnings": ["no validation queries are configured: whether search answers well was not checked", "no judged queries: whether answers got worse in meaning was not checked (validation.judged)"], "checks": [{"name": "ready", "value": 4.0, "bound": 1.0, "n": 4, "verdict": "pass", "level": "hard", "detail": "ready in 4 looks in a row"}, {"name": "count", "value": 12.0, "bound": 12.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "exact count of shop_20261102_020001 against 12 records of the source, must be equal"}, {"name": "vector_schema", "value": 0.0, "bound": 0.0, "n": 1, "verdict": "pass", "level": "hard", "detail": "vectors unnamed as wanted"}, {"name": "payload_schema", "value": 0.0, "bound": 0.0, "n": 0, "verdict": "pass", "level": "hard", "detail": "0 payload indexes, as in the live collection and the index file"}, {"name": "model_stamp", "value": 0.0, "bound": 0.0, "n": 1, "verdict": "pass", "level": "hard", "detail": "made with hashing|signed words, 1 + log(count), unit length|64, as declared"}, {"name": "round_trip", "value": 0.0, "bound": 0.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "records found as the source has them, embedded again to the same vectors"}, {"name": "vector_sanity", "value": 0.0, "bound": 0.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "all 12 finite and not zero; 0 of 12 share a vector with another text"}, {"name": "self_retrieval", "value": 1.0, "bound": 0.99, "n": 12, "verdict": "pass", "level": "hard", "detail": "at least; every one found itself"}, {"name": "ann_recall@10", "value": 1.0, "bound": 0.9, "n": 12, "verdict": "pass", "level": "hard", "detail": "interval [1, 1], low >= bound; exact by size: no index to judge; 0 queries below 0.8"}, {"name": "zero_result", "value": 0.0, "bound": 0.005, "n": 12, "verdict": "pass", "level": "hard", "detail": "at most; empty here only: none; empty on live only: 0"}], "attribution": null, "worst": [], "deployment": "20945792793d", "attempt": 1}, "summary": "pass; no validation queries are configured: whether search answers well was not checked"}',1,'{}');
INSERT INTO "steps" VALUES('20945792793d',3,'switch','control','done',1,0,0.0,'2026-11-02 02:00:01.000000','2026-11-02 02:00:01.000000',NULL,'shop is on shop_20261102_020001','{}','{"summary": "shop is on shop_20261102_020001", "from": null, "moved": true}',1,'{}');
INSERT INTO "steps" VALUES('20945792793d',4,'soak','control','done',1,0,0.0,'2026-11-02 02:00:01.000000','2026-11-02 02:00:02.000000',NULL,'2 looks, 0 errors, no searches through a router','{"looks": 2, "errors": 0, "last_error": "", "progress": {"done": 2, "size": 2, "unit": "looks"}, "judged": [0.0, 0, 0]}','{"summary": "2 looks, 0 errors, no searches through a router", "looks": 2, "errors": 0, "last_error": "", "traffic": {"searches": 0, "user_groups": 0, "anonymous": 0, "errors": 0, "fallbacks": 0, "error_rate": null, "zero_result_rate": null, "p50_ms": null, "p95_ms": null, "p99_ms": null}}',1,'{}');
INSERT INTO "steps" VALUES('2f4eb1f31f49',0,'create','bulk','done',1,0,0.0,'2026-11-02 02:00:02.000000','2026-11-02 02:00:02.000000',NULL,'made from the index file','{}','{"summary": "made from the index file", "vector": "", "schema": {"params": {"vectors": {"size": 64, "distance": "Cosine"}}, "payload_schema": {}}}',1,'{}');
INSERT INTO "steps" VALUES('2f4eb1f31f49',1,'populate','bulk','done',1,0,0.0,'2026-11-02 02:00:02.000000','2026-11-02 02:00:02.000000',NULL,'12 points by records, 12 embedded','{"way": "records", "print": "34b92b403de0647a20086b9eb4a359f2", "gone": 0, "bad": 0, "bad_samples": [], "embedded": 12, "truncated": 0, "written": 12, "cursor": {"file": 0, "offset": 640, "line": 12, "n": 12, "done": 640, "print": "34b92b403de0647a20086b9eb4a359f2"}, "read": 12, "window": 48, "progress": {"done": 640, "size": 640, "unit": "source", "rate": 1299.3, "records": 12}, "filled": true, "expected": 12}','{"summary": "12 points by records, 12 embedded", "way": "records", "print": "34b92b403de0647a20086b9eb4a359f2", "expected": 12, "written": 12, "embedded": 12, "truncated": 0, "bad": 0, "bad_samples": [], "gone": 0, "looks": 3, "progress": {"done": 640, "size": 640, "unit": "source", "rate": 1299.3, "records": 12}}',1,'{}');
INSERT INTO "steps" VALUES('2f4eb1f31f49',2,'validate','bulk','done',1,0,0.0,'2026-11-02 02:00:02.000000','2026-11-02 02:00:02.000000',NULL,'pass; no validation queries are configured: whether search answers well was not checked','{}','{"gate": {"verdict": "pass", "collection": "shop_b_20261102_020002", "live": null, "seed": 7, "seconds": 0.0, "warnings": ["no validation queries are configured: whether search answers well was not checked", "no judged queries: whether answers got worse in meaning was not checked (validation.judged)"], "checks": [{"name": "ready", "value": 4.0, "bound": 1.0, "n": 4, "verdict": "pass", "level": "hard", "detail": "ready in 4 looks in a row"}, {"name": "count", "value": 12.0, "bound": 12.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "exact count of shop_b_20261102_020002 against 12 records of the source, must be equal"}, {"name": "vector_schema", "value": 0.0, "bound": 0.0, "n": 1, "verdict": "pass", "level": "hard", "detail": "vectors unnamed as wanted"}, {"name": "payload_schema", "value": 0.0, "bound": 0.0, "n": 0, "verdict": "pass", "level": "hard", "detail": "0 payload indexes, as in the live collection and the index file"}, {"name": "model_stamp", "value": 0.0, "bound": 0.0, "n": 1, "verdict": "pass", "level": "hard", "detail": "made with hashing|signed words, 1 + log(count), unit length|64, as declared"}, {"name": "round_trip", "value": 0.0, "bound": 0.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "records found as the source has them, embedded again to the same vectors"}, {"name": "vector_sanity", "value": 0.0, "bound": 0.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "all 12 finite and not zero; 0 of 12 share a vector with another text"}, {"name": "self_retrieval", "value": 1.0, "bound": 0.99, "n": 12, "verdict": "pass", "level": "hard", "detail": "at least; every one found itself"}, {"name": "ann_recall@10", "value": 1.0, "bound": 0.9, "n": 12, "verdict": "pass", "level": "hard", "detail": "interval [1, 1], low >= bound; exact by size: no index to judge; 0 queries below 0.8"}, {"name": "zero_result", "value": 0.0, "bound": 0.005, "n": 12, "verdict": "pass", "level": "hard", "detail": "at most; empty here only: none; empty on live only: 0"}], "attribution": null, "worst": [], "deployment": "2f4eb1f31f49", "attempt": 1}, "summary": "pass; no validation queries are configured: whether search answers well was not checked"}',1,'{}');
INSERT INTO "steps" VALUES('2f4eb1f31f49',3,'switch','control','done',1,0,0.0,'2026-11-02 02:00:02.000000','2026-11-02 02:00:02.000000',NULL,'shop_b is on shop_b_20261102_020002','{}','{"summary": "shop_b is on shop_b_20261102_020002", "from": null, "moved": true}',1,'{}');
INSERT INTO "steps" VALUES('2f4eb1f31f49',4,'soak','control','done',1,0,0.0,'2026-11-02 02:00:02.000000','2026-11-02 02:00:03.000000',NULL,'2 looks, 0 errors, no searches through a router','{"looks": 2, "errors": 0, "last_error": "", "progress": {"done": 2, "size": 2, "unit": "looks"}, "judged": [0.0, 0, 0]}','{"summary": "2 looks, 0 errors, no searches through a router", "looks": 2, "errors": 0, "last_error": "", "traffic": {"searches": 0, "user_groups": 0, "anonymous": 0, "errors": 0, "fallbacks": 0, "error_rate": null, "zero_result_rate": null, "p50_ms": null, "p95_ms": null, "p99_ms": null}}',1,'{}');
INSERT INTO "steps" VALUES('2cf9c3b827fa',0,'create','bulk','done',1,0,0.0,'2026-11-02 02:00:03.000000','2026-11-02 02:00:03.000000',NULL,'cloned from shop_b_20261102_020002','{}','{"summary": "cloned from shop_b_20261102_020002", "vector": "", "schema": {"quantization_config": null, "strict_mode_config": null, "payload_schema": {}, "shard_keys": [], "params": {"vectors": {"size": 64, "distance": "Cosine"}}, "optimizer_config": {"indexing_threshold": 0}}}',1,'{}');
INSERT INTO "steps" VALUES('2cf9c3b827fa',1,'populate','bulk','done',1,0,0.0,'2026-11-02 02:00:03.000000','2026-11-02 02:00:03.000000',NULL,'12 points by records, 12 reused','{"way": "records", "print": "34b92b403de0647a20086b9eb4a359f2", "gone": 0, "bad": 0, "bad_samples": [], "reused": 12, "written": 12, "cursor": {"file": 0, "offset": 640, "line": 12, "n": 12, "done": 640, "print": "34b92b403de0647a20086b9eb4a359f2"}, "read": 12, "window": 48, "progress": {"done": 640, "size": 640, "unit": "source", "rate": 2159.0, "records": 12}, "filled": true, "expected": 12}','{"summary": "12 points by records, 12 reused", "way": "records", "print": "34b92b403de0647a20086b9eb4a359f2", "expected": 12, "written": 12, "reused": 12, "bad": 0, "bad_samples": [], "gone": 0, "looks": 3, "progress": {"done": 640, "size": 640, "unit": "source", "rate": 2159.0, "records": 12}}',1,'{}');
INSERT INTO "steps" VALUES('2cf9c3b827fa',2,'validate','bulk','pending',0,0,0.0,NULL,NULL,NULL,'','{}','{}',1,'{}');
INSERT INTO "steps" VALUES('2cf9c3b827fa',3,'switch','control','pending',0,0,0.0,NULL,NULL,NULL,'','{}','{}',1,'{}');
INSERT INTO "steps" VALUES('2cf9c3b827fa',4,'soak','control','pending',0,0,0.0,NULL,NULL,NULL,'','{}','{}',1,'{}');
INSERT INTO "steps" VALUES('7c32eb123be1',0,'create','bulk','done',1,0,0.0,'2026-11-02 02:00:03.000000','2026-11-02 02:00:03.000000',NULL,'cloned from docs_20261102_020000','{}','{"summary": "cloned from docs_20261102_020000", "vector": "", "schema": {"quantization_config": null, "strict_mode_config": null, "payload_schema": {}, "shard_keys": [], "params": {"vectors": {"size": 64, "distance": "Cosine"}}, "optimizer_config": {"indexing_threshold": 0}}}',1,'{}');
INSERT INTO "steps" VALUES('7c32eb123be1',1,'populate','bulk','done',1,0,0.0,'2026-11-02 02:00:03.000000','2026-11-02 02:00:03.000000',NULL,'12 points by records, 12 reused','{"way": "records", "print": "fe93b69ab2b504489c77dfa9c7a5c6f3", "gone": 0, "bad": 0, "bad_samples": [], "reused": 12, "written": 12, "cursor": {"file": 0, "offset": 640, "line": 12, "n": 12, "done": 640, "print": "fe93b69ab2b504489c77dfa9c7a5c6f3"}, "read": 12, "window": 48, "progress": {"done": 640, "size": 640, "unit": "source", "rate": 1592.8, "records": 12}, "filled": true, "expected": 12}','{"summary": "12 points by records, 12 reused", "way": "records", "print": "fe93b69ab2b504489c77dfa9c7a5c6f3", "expected": 12, "written": 12, "reused": 12, "bad": 0, "bad_samples": [], "gone": 0, "looks": 3, "progress": {"done": 640, "size": 640, "unit": "source", "rate": 1592.8, "records": 12}}',1,'{}');
INSERT INTO "steps" VALUES('7c32eb123be1',2,'validate','bulk','done',1,0,0.0,'2026-11-02 02:00:03.000000','2026-11-02 02:00:03.000000',NULL,'pass; no validation queries are configured: whether search answers well was not checked','{}','{"gate": {"verdict": "pass", "collection": "docs_20261102_020003", "live": "docs_20261102_020000", "seed": 7, "seconds": 0.0, "warnings": ["no validation queries are configured: whether search answers well was not checked", "no judged queries: whether answers got worse in meaning was not checked (validation.judged)"], "checks": [{"name": "ready", "value": 4.0, "bound": 1.0, "n": 4, "verdict": "pass", "level": "hard", "detail": "ready in 4 looks in a row"}, {"name": "count", "value": 12.0, "bound": 12.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "exact count of docs_20261102_020003 against 12 records of the source, must be equal"}, {"name": "vector_schema", "value": 0.0, "bound": 0.0, "n": 1, "verdict": "pass", "level": "hard", "detail": "vectors unnamed as wanted"}, {"name": "payload_schema", "value": 0.0, "bound": 0.0, "n": 0, "verdict": "pass", "level": "hard", "detail": "0 payload indexes, as in the live collection and the index file"}, {"name": "model_stamp", "value": 0.0, "bound": 0.0, "n": 1, "verdict": "pass", "level": "hard", "detail": "made with hashing|signed words, 1 + log(count), unit length|64, as declared"}, {"name": "round_trip", "value": 0.0, "bound": 0.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "records found as the source has them, embedded again to the same vectors"}, {"name": "vector_sanity", "value": 0.0, "bound": 0.0, "n": 12, "verdict": "pass", "level": "hard", "detail": "all 12 finite and not zero; 0 of 12 share a vector with another text"}, {"name": "self_retrieval", "value": 1.0, "bound": 0.99, "n": 12, "verdict": "pass", "level": "hard", "detail": "at least; every one found itself"}, {"name": "ann_recall@10", "value": 1.0, "bound": 0.9, "n": 12, "verdict": "pass", "level": "hard", "detail": "interval [1, 1], low >= bound; exact by size: no index to judge; 0 queries below 0.8"}, {"name": "zero_result", "value": 0.0, "bound": 0.005, "n": 12, "verdict": "pass", "level": "hard", "detail": "at most; empty here only: none; empty on live only: 0"}, {"name": "count_vs_live", "value": 0.0, "bound": null, "n": 12, "verdict": "pass", "level": "shown", "detail": "shown, no bound in the index file; 12 points, live has 12; share missing, at most the bound"}, {"name": "overlap", "value": 1.0, "bound": 0.1, "n": 12, "verdict": "pass", "level": "hard", "detail": "interval [1, 1], low >= bound; RBO with p = 0.9; 1.000 of the top tens in common; same model"}, {"name": "score_shift", "value": 0.0, "bound": null, "n": 12, "verdict": "pass", "level": "shown", "detail": "shown, no bound in the index file; at most; best 0.000, tenth 0.000; same model"}], "attribution": null, "worst": [], "deployment": "7c32eb123be1", "attempt": 1}, "summary": "pass; no validation queries are configured: whether search answers well was not checked"}',1,'{}');
INSERT INTO "steps" VALUES('7c32eb123be1',3,'shift','control','waiting',0,0,0.0,'2026-11-02 02:00:03.000000',NULL,NULL,'5 % set, confirmed by no search process yet: look 3 of 4; 80 searches of green; p95: too few users in one of the arms; error rate: too few users in one of the arms; about 120 more searches','{"looks": 3, "windows": [[0.0, 0], [0.7637552176496272, 40], [1.5225716417832764, 80]], "course": [{"p95": [null, null, null], "error rate": [null, null, null]}, {"p95": [null, null, null], "error rate": [null, null, null]}, {"p95": [null, null, null], "error rate": [null, null, null]}], "progress": {"done": 2, "size": 4, "unit": "looks", "set": 5.0, "route": 2, "confirmed": "no search process yet", "all": true, "traffic": {"canary real": {"searches": 80, "user_groups": 74, "anonymous": 0, "errors": 6, "fallbacks": 0, "error_rate": 0.075, "zero_result_rate": 0.0, "p50_ms": 18.8, "p95_ms": 27.1, "p99_ms": 31.05, "pairs": 2, "overlap": 0.9}, "control real": {"searches": 80, "user_groups": 74, "anonymous": 0, "errors": 6, "fallbacks": 0, "error_rate": 0.075, "zero_result_rate": 0.0, "p50_ms": 18.8, "p95_ms": 27.1, "p99_ms": 31.05, "pairs": 2, "overlap": 0.9}}, "judgment": {"verdict": "unknown", "comparisons": [{"metric": "p95", "control": null, "canary": null, "effect": null, "low": null, "high": null, "margin": 0.316227766016838, "n": 160, "verdict": "unclear", "harmful": false, "reason": "too_few_units", "words": "p95: too few users in one of the arms"}, {"metric": "error rate", "control": null, "canary": null, "effect": null, "low": null, "high": null, "margin": 0.0158113883008419, "n": 160, "verdict": "unclear", "harmful": false, "reason": "too_few_units", "words": "error rate: too few users in one of the arms"}], "missing": 120, "words": "p95: too few users in one of the arms; error rate: too few users in one of the arms; about 120 more searches"}, "course": [{"p95": [null, null, null], "error rate": [null, null, null]}, {"p95": [null, null, null], "error rate": [null, null, null]}, {"p95": [null, null, null], "error rate": [null, null, null]}]}}','{}',1,'{"percentage": 5.0, "duration_minutes": 2.0, "shadow": false}');
INSERT INTO "steps" VALUES('7c32eb123be1',4,'shift','control','pending',0,0,0.0,NULL,NULL,NULL,'','{}','{}',1,'{"percentage": 100.0, "duration_minutes": 0.0, "shadow": false}');
INSERT INTO "steps" VALUES('7c32eb123be1',5,'switch','control','pending',0,0,0.0,NULL,NULL,NULL,'','{}','{}',1,'{}');
INSERT INTO "steps" VALUES('7c32eb123be1',6,'soak','control','pending',0,0,0.0,NULL,NULL,NULL,'','{}','{}',1,'{}');
CREATE TABLE tokens (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	scopes JSON NOT NULL, 
	actor TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	revoked_at DATETIME, 
	last_used_at DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
CREATE TABLE traffic (
	id INTEGER NOT NULL, 
	alias TEXT NOT NULL, 
	stage TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	collection TEXT NOT NULL, 
	process TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	tally JSON NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (process, sequence, stage, variant, kind, collection)
);
INSERT INTO "traffic" VALUES(1,'docs','7c32eb123be1/3','control','real','docs_20261102_020000','frozen',1,'2026-11-02 02:00:03.000000','{"cells": [[137, 120, 214, 2, 104, 432, 507, 470, 102, 432, 290, 402, 413, 383, 379, 403, 12, 237, 361, 5, 132, 57, 423, 339, 181, 261, 275, 71, 279, 508, 431, 214, 230, 436, 461, 328, 128, 305, 8, 222], [729, 714, 741, 726, 748, 735, 718, 665, 732, 718, 750, 718, 711, 693, 714, 722, 741, 709, 712, 674, 716, 713, 714, 713, 717, 707, 663, 695, 723, 713, 732, 754, 725, 717, 676, 726, 650, 733, 732, 715], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]], "failed": [[137, 379, 181], [1, 1, 1]], "nothing": [[], []], "seconds": 0.7637552176496272, "fallbacks": 0, "anonymous": 0, "pairs": 1, "overlap": 0.9, "overlap_squares": 0.81, "log_ratio": 0.1, "log_ratio_squares": 0.010000000000000002}');
INSERT INTO "traffic" VALUES(2,'docs','7c32eb123be1/3','canary','real','docs_20261102_020003','frozen',1,'2026-11-02 02:00:03.000000','{"cells": [[137, 120, 214, 2, 104, 432, 507, 470, 102, 432, 290, 402, 413, 383, 379, 403, 12, 237, 361, 5, 132, 57, 423, 339, 181, 261, 275, 71, 279, 508, 431, 214, 230, 436, 461, 328, 128, 305, 8, 222], [729, 714, 741, 726, 748, 735, 718, 665, 732, 718, 750, 718, 711, 693, 714, 722, 741, 709, 712, 674, 716, 713, 714, 713, 717, 707, 663, 695, 723, 713, 732, 754, 725, 717, 676, 726, 650, 733, 732, 715], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]], "failed": [[137, 379, 181], [1, 1, 1]], "nothing": [[], []], "seconds": 0.7637552176496272, "fallbacks": 0, "anonymous": 0, "pairs": 1, "overlap": 0.9, "overlap_squares": 0.81, "log_ratio": 0.1, "log_ratio_squares": 0.010000000000000002}');
INSERT INTO "traffic" VALUES(3,'docs','7c32eb123be1/3','control','real','docs_20261102_020000','frozen',2,'2026-11-02 02:00:33.000000','{"cells": [[57, 315, 162, 274, 168, 332, 186, 372, 456, 472, 510, 465, 467, 170, 491, 416, 77, 195, 108, 215, 24, 1, 155, 315, 270, 323, 335, 18, 174, 32, 368, 4, 89, 237, 389, 52, 491, 375, 103, 16], [683, 703, 715, 747, 718, 682, 758, 734, 649, 723, 715, 749, 714, 764, 732, 706, 733, 718, 727, 681, 730, 710, 729, 707, 731, 718, 685, 724, 660, 712, 696, 688, 704, 728, 709, 767, 705, 710, 692, 725], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]], "failed": [[315, 168, 77], [1, 1, 1]], "nothing": [[], []], "seconds": 0.7588164241336492, "fallbacks": 0, "anonymous": 0, "pairs": 1, "overlap": 0.9, "overlap_squares": 0.81, "log_ratio": 0.1, "log_ratio_squares": 0.010000000000000002}');
INSERT INTO "traffic" VALUES(4,'docs','7c32eb123be1/3','canary','real','docs_20261102_020003','frozen',2,'2026-11-02 02:00:33.000000','{"cells": [[57, 315, 162, 274, 168, 332, 186, 372, 456, 472, 510, 465, 467, 170, 491, 416, 77, 195, 108, 215, 24, 1, 155, 315, 270, 323, 335, 18, 174, 32, 368, 4, 89, 237, 389, 52, 491, 375, 103, 16], [683, 703, 715, 747, 718, 682, 758, 734, 649, 723, 715, 749, 714, 764, 732, 706, 733, 718, 727, 681, 730, 710, 729, 707, 731, 718, 685, 724, 660, 712, 696, 688, 704, 728, 709, 767, 705, 710, 692, 725], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]], "failed": [[315, 168, 77], [1, 1, 1]], "nothing": [[], []], "seconds": 0.7588164241336492, "fallbacks": 0, "anonymous": 0, "pairs": 1, "overlap": 0.9, "overlap_squares": 0.81, "log_ratio": 0.1, "log_ratio_squares": 0.010000000000000002}');
INSERT INTO "traffic" VALUES(5,'docs','7c32eb123be1/3','control','real','docs_20261102_020000','frozen',3,'2026-11-02 02:01:03.000000','{"cells": [[243, 485, 480, 481, 154, 399, 43, 484, 437, 137, 446, 417, 29, 106, 273, 495, 425, 338, 241, 202, 43, 141, 395, 277, 308, 347, 20, 340, 285, 327, 270, 27, 275, 99, 229, 344, 277, 195, 285, 353], [719, 720, 703, 718, 703, 749, 707, 773, 690, 694, 693, 757, 723, 726, 706, 711, 719, 744, 663, 745, 749, 744, 730, 706, 711, 673, 704, 711, 743, 698, 703, 678, 703, 686, 696, 727, 703, 659, 669, 721], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]], "failed": [[485, 399, 241, 285], [1, 1, 1, 1]], "nothing": [[], []], "seconds": 0.7374731032340718, "fallbacks": 0, "anonymous": 0, "pairs": 1, "overlap": 0.9, "overlap_squares": 0.81, "log_ratio": 0.1, "log_ratio_squares": 0.010000000000000002}');
INSERT INTO "traffic" VALUES(6,'docs','7c32eb123be1/3','canary','real','docs_20261102_020003','frozen',3,'2026-11-02 02:01:03.000000','{"cells": [[243, 485, 480, 481, 154, 399, 43, 484, 437, 137, 446, 417, 29, 106, 273, 495, 425, 338, 241, 202, 43, 141, 395, 277, 308, 347, 20, 340, 285, 327, 270, 27, 275, 99, 229, 344, 277, 195, 285, 353], [719, 720, 703, 718, 703, 749, 707, 773, 690, 694, 693, 757, 723, 726, 706, 711, 719, 744, 663, 745, 749, 744, 730, 706, 711, 673, 704, 711, 743, 698, 703, 678, 703, 686, 696, 727, 703, 659, 669, 721], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]], "failed": [[485, 399, 241, 285], [1, 1, 1, 1]], "nothing": [[], []], "seconds": 0.7374731032340718, "fallbacks": 0, "anonymous": 0, "pairs": 1, "overlap": 0.9, "overlap_squares": 0.81, "log_ratio": 0.1, "log_ratio_squares": 0.010000000000000002}');
CREATE TABLE unit_sums (
	experiment_id TEXT NOT NULL, 
	metric TEXT NOT NULL, 
	variant TEXT NOT NULL, 
	stage INTEGER NOT NULL, 
	unit TEXT NOT NULL, 
	closes_at DATETIME NOT NULL, 
	count FLOAT NOT NULL, 
	total FLOAT NOT NULL, 
	PRIMARY KEY (experiment_id, metric, variant, stage, unit), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (id)
)
 WITHOUT ROWID

;
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'04f6eadfc77a08ed247dcd39','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'089b0fb414d9e64391564ed7','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'09726fce51b33e23ddf1a01e','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'0af195f7892077f2040fef06','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'0d7e0acae9b31b3c4f2f57db','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'144738c85cbc55ab623e5ca3','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'1fe41c57e8d0a6acbe083748','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'2c6f416c44a6f5a5d4768459','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'34db91444c8e6b2eb67c8673','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'3897de7abeea9ff498cb4c60','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'50cce7132eb32ed7bc7918b1','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'5748fa78456bb25b1bcaf56f','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'5c4e624db864a346504dafcc','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'665a9c086efc7bf9f977a744','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'78cf82a823d6e5b709acb26c','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'8cfc3ab6a6bbe97641087da6','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'92b21bb46ed9e9c20815aea7','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'ab296159fb4f6064ef7b46f8','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'ac6070fa97b0fb1d09f345ab','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'ba642983e001bbcd8b00d954','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'bdad3c7d9a36dec477e1dbc0','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'bfddbba364655dad9bbad79a','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'c33949480e679a73caae0080','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'c536547800c191ae5d0f23b0','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'d97b1ec53b7c462442acd044','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'db0d0c4d74a9fabe6cf4c233','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'e9f80981f98f9c02794b5d2f','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'ec2025dad64ff0b0e1eb8cf9','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'f054d2c081471ac59cb22441','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','control',1,'f67c4aa44ad1dd1b03073919','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'017142018363214c4f4bb17c','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'092c079c45c2f742e3deab6d','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'0bf6e89ff5cf7f94cf95e236','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'13df8b408067b60c80e2b091','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'23df55566769aaf650b2c0f3','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'2781ea2ea288902e916fb4e8','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'313fc359070587ae9b4abe8f','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'33894c5806af66d6df7db6a2','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'47211e3c1a8a5fb3f10f5ac1','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'483d146d594b90a21ee5ce2c','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'57ddcf6604431e6c364d6231','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'6959fa8afcaed498c9a4a9a3','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'7060def324d5f53c795cfe1f','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'77842a3597c3c593b884a9b0','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'8a4b8acd6ec2839119e11055','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'92857dbb51885d7352300cc4','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'977d930da45ecbb7ad467d52','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'9d2bffab38c2b6af95889ddb','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'a80715b578d35863fab2d40a','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'b1c983a32e3c8947f29b5a39','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'b7c0cfcf9a86ff55bcb687be','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'c02cc1e2e421544acb4b6821','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'c5aa8d09b29ebb95b1f063b7','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'cfc955a78b1b4731269236c7','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'d93375ffcb369613bb066214','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'e1adde3308a2b0e22e3fc364','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'e1b57e1f70914a476a441af3','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'e2f19cb08b88848e7d090f32','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'eafe49cbb0e17daf4a5f5114','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','clicks','treatment',1,'ec2f3ee4c4b96a531cf319ef','2026-11-02 03:01:03.000000',2.0,0.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'04f6eadfc77a08ed247dcd39','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'089b0fb414d9e64391564ed7','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'09726fce51b33e23ddf1a01e','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'0af195f7892077f2040fef06','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'0d7e0acae9b31b3c4f2f57db','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'144738c85cbc55ab623e5ca3','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'1fe41c57e8d0a6acbe083748','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'2c6f416c44a6f5a5d4768459','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'34db91444c8e6b2eb67c8673','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'3897de7abeea9ff498cb4c60','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'50cce7132eb32ed7bc7918b1','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'5748fa78456bb25b1bcaf56f','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'5c4e624db864a346504dafcc','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'665a9c086efc7bf9f977a744','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'78cf82a823d6e5b709acb26c','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'8cfc3ab6a6bbe97641087da6','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'92b21bb46ed9e9c20815aea7','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'ab296159fb4f6064ef7b46f8','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'ac6070fa97b0fb1d09f345ab','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'ba642983e001bbcd8b00d954','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'bdad3c7d9a36dec477e1dbc0','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'bfddbba364655dad9bbad79a','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'c33949480e679a73caae0080','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'c536547800c191ae5d0f23b0','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'d97b1ec53b7c462442acd044','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'db0d0c4d74a9fabe6cf4c233','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'e9f80981f98f9c02794b5d2f','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'ec2025dad64ff0b0e1eb8cf9','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'f054d2c081471ac59cb22441','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','control',1,'f67c4aa44ad1dd1b03073919','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'017142018363214c4f4bb17c','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'092c079c45c2f742e3deab6d','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'0bf6e89ff5cf7f94cf95e236','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'13df8b408067b60c80e2b091','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'23df55566769aaf650b2c0f3','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'2781ea2ea288902e916fb4e8','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'313fc359070587ae9b4abe8f','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'33894c5806af66d6df7db6a2','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'47211e3c1a8a5fb3f10f5ac1','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'483d146d594b90a21ee5ce2c','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'57ddcf6604431e6c364d6231','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'6959fa8afcaed498c9a4a9a3','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'7060def324d5f53c795cfe1f','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'77842a3597c3c593b884a9b0','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'8a4b8acd6ec2839119e11055','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'92857dbb51885d7352300cc4','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'977d930da45ecbb7ad467d52','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'9d2bffab38c2b6af95889ddb','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'a80715b578d35863fab2d40a','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'b1c983a32e3c8947f29b5a39','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'b7c0cfcf9a86ff55bcb687be','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'c02cc1e2e421544acb4b6821','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'c5aa8d09b29ebb95b1f063b7','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'cfc955a78b1b4731269236c7','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'d93375ffcb369613bb066214','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'e1adde3308a2b0e22e3fc364','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'e1b57e1f70914a476a441af3','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'e2f19cb08b88848e7d090f32','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'eafe49cbb0e17daf4a5f5114','2026-11-02 03:01:03.000000',2.0,4.0);
INSERT INTO "unit_sums" VALUES('61a9f9370ce3','latency','treatment',1,'ec2f3ee4c4b96a531cf319ef','2026-11-02 03:01:03.000000',2.0,4.0);
CREATE TABLE "versions" (
	collection TEXT NOT NULL, 
	alias TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	parent TEXT, 
	deployment_id TEXT, 
	created_at DATETIME NOT NULL, 
	facts JSON DEFAULT '{}' NOT NULL, 
	PRIMARY KEY (collection), 
	UNIQUE (alias, number), 
	FOREIGN KEY(deployment_id) REFERENCES deployments (id)
);
INSERT INTO "versions" VALUES('docs_20261102_020000','docs',1,NULL,'95ac36a474dc','2026-11-02 02:00:00.000000','{"actor": "anna", "source": "jsonl:/frozen/docs.jsonl", "model": "hashing:64", "revision": null, "dtype": "float32", "template": "{text}", "chunk": null, "identity": "hashing|signed words, 1 + log(count), unit length|64", "reads": null, "vector": "", "dimension": 64, "schema": "d2acca3fc95228ec2618ff82280e3110", "way": "records", "fingerprint": "fe93b69ab2b504489c77dfa9c7a5c6f3", "records": 12, "points": 12, "bad": 0, "reused": 0, "embedded": 12, "truncated": 0, "gate": {"verdict": "pass", "failed": [], "inconclusive": [], "deployment": "95ac36a474dc", "attempt": 1}, "served": {"deployment": "95ac36a474dc", "since": "2026-11-02T02:00:00.000Z", "approved_by": null}}');
INSERT INTO "versions" VALUES('shop_20261102_020001','shop',1,NULL,'20945792793d','2026-11-02 02:00:01.000000','{"actor": "anna", "source": "jsonl:/frozen/shop.jsonl", "model": "hashing:64", "revision": null, "dtype": "float32", "template": "{text}", "chunk": null, "identity": "hashing|signed words, 1 + log(count), unit length|64", "reads": null, "vector": "", "dimension": 64, "schema": "d2acca3fc95228ec2618ff82280e3110", "way": "records", "fingerprint": "3036e843feb720d8d5f81979a23b2761", "records": 12, "points": 12, "bad": 0, "reused": 0, "embedded": 12, "truncated": 0, "gate": {"verdict": "pass", "failed": [], "inconclusive": [], "deployment": "20945792793d", "attempt": 1}, "served": {"deployment": "20945792793d", "since": "2026-11-02T02:00:01.000Z", "approved_by": null}}');
INSERT INTO "versions" VALUES('shop_b_20261102_020002','shop_b',1,NULL,'2f4eb1f31f49','2026-11-02 02:00:02.000000','{"actor": "anna", "source": "jsonl:/frozen/shop_b.jsonl", "model": "hashing:64", "revision": null, "dtype": "float32", "template": "{text}", "chunk": null, "identity": "hashing|signed words, 1 + log(count), unit length|64", "reads": null, "vector": "", "dimension": 64, "schema": "d2acca3fc95228ec2618ff82280e3110", "way": "records", "fingerprint": "34b92b403de0647a20086b9eb4a359f2", "records": 12, "points": 12, "bad": 0, "reused": 0, "embedded": 12, "truncated": 0, "gate": {"verdict": "pass", "failed": [], "inconclusive": [], "deployment": "2f4eb1f31f49", "attempt": 1}, "served": {"deployment": "2f4eb1f31f49", "since": "2026-11-02T02:00:02.000Z", "approved_by": null}}');
INSERT INTO "versions" VALUES('shop_b_20261102_020003','shop_b',2,'shop_b_20261102_020002','2cf9c3b827fa','2026-11-02 02:00:03.000000','{"actor": "anna", "source": "jsonl:/frozen/shop_b.jsonl", "model": "hashing:64", "revision": null, "dtype": "float32", "template": "{text}", "chunk": null, "identity": "hashing|signed words, 1 + log(count), unit length|64", "reads": null, "vector": "", "dimension": 64, "schema": "d2acca3fc95228ec2618ff82280e3110", "way": "records", "fingerprint": "34b92b403de0647a20086b9eb4a359f2", "records": 12, "points": 12, "bad": 0, "reused": 12, "embedded": 0, "truncated": 0}');
INSERT INTO "versions" VALUES('docs_20261102_020003','docs',2,'docs_20261102_020000','7c32eb123be1','2026-11-02 02:00:03.000000','{"actor": "anna", "source": "jsonl:/frozen/docs.jsonl", "model": "hashing:64", "revision": null, "dtype": "float32", "template": "{text}", "chunk": null, "identity": "hashing|signed words, 1 + log(count), unit length|64", "reads": null, "vector": "", "dimension": 64, "schema": "d2acca3fc95228ec2618ff82280e3110", "way": "records", "fingerprint": "fe93b69ab2b504489c77dfa9c7a5c6f3", "records": 12, "points": 12, "bad": 0, "reused": 12, "embedded": 0, "truncated": 0, "gate": {"verdict": "pass", "failed": [], "inconclusive": [], "deployment": "7c32eb123be1", "attempt": 1}}');
CREATE INDEX deployments_by_alias ON deployments (alias, created_at);
CREATE INDEX open_deployments_by_wake ON deployments (wake_at) WHERE status NOT IN ('live', 'rolled_back');
CREATE UNIQUE INDEX one_open_deletion_per_collection ON deletions (collection) WHERE status IN ('scheduled', 'deleting');
CREATE INDEX ix_events_alias ON events (alias);
CREATE INDEX ix_events_deployment_id ON events (deployment_id);
CREATE INDEX traffic_by_stage ON traffic (alias, stage);
CREATE INDEX traffic_by_time ON traffic (at);
CREATE INDEX ix_experiments_name ON experiments (name);
CREATE UNIQUE INDEX one_running_experiment_per_route ON experiments (route) WHERE status = 'running';
CREATE INDEX running_experiments_by_look ON experiments (next_look_at) WHERE status = 'running';
CREATE INDEX sketches_by_metric ON sketches (experiment_id, metric, variant, stage, closes_at);
CREATE INDEX feedback_keys_by_time ON feedback_keys (at);
CREATE INDEX schedules_by_next ON schedules (next_at);
CREATE UNIQUE INDEX one_open_run_per_schedule ON schedule_runs (schedule_id) WHERE status IN ('due', 'running');
CREATE UNIQUE INDEX one_open_deployment_of_a_kind ON deployments (alias, kind) WHERE status NOT IN ('live', 'rolled_back');
CREATE INDEX ix_alert_notices_alias ON alert_notices (alias);
CREATE INDEX unspread_notices ON alert_notices (number) WHERE NOT spread;
CREATE INDEX waiting_deliveries ON alert_deliveries (channel, number) WHERE status = 'waiting';
CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);
CREATE INDEX ix_once_created_at ON once (created_at);
CREATE INDEX steps_by_end ON steps (finished_at);
COMMIT;
