-- What a manju with version 2 of the database wrote; made by make.ts, never changed.
PRAGMA application_id = 1835101802;
PRAGMA user_version = 2;
CREATE TABLE `delivery` (
	`owner` text NOT NULL,
	`sequence` integer NOT NULL,
	`message_id` integer,
	`qos` integer NOT NULL,
	`retain` integer NOT NULL,
	`identifiers` text,
	`share_group` text,
	`packet_id` integer,
	`bytes` integer NOT NULL,
	PRIMARY KEY(`owner`, `sequence`)
);
CREATE INDEX `delivery_message` ON `delivery` (`message_id`);
CREATE TABLE `message` (
	`id` integer PRIMARY KEY NOT NULL,
	`topic` text NOT NULL,
	`qos` integer NOT NULL,
	`retain` integer NOT NULL,
	`payload` blob NOT NULL,
	`properties` blob NOT NULL,
	`expiry_seconds` integer,
	`expires_at` integer
);
CREATE TABLE `received` (
	`client_id` text NOT NULL,
	`packet_id` integer NOT NULL,
	PRIMARY KEY(`client_id`, `packet_id`)
);
CREATE TABLE `retained` (
	`topic` text PRIMARY KEY NOT NULL,
	`message_id` integer NOT NULL
);
CREATE INDEX `retained_message` ON `retained` (`message_id`);
CREATE TABLE `session` (
	`client_id` text PRIMARY KEY NOT NULL,
	`expiry_seconds` integer NOT NULL,
	`disconnected_at` integer,
	`will` text
, `username` text, `is_anonymous` integer DEFAULT false NOT NULL);
CREATE TABLE `subscription` (
	`client_id` text NOT NULL,
	`topic_filter` text NOT NULL,
	`qos` integer NOT NULL,
	`no_local` integer NOT NULL,
	`retain_as_published` integer NOT NULL,
	`retain_handling` integer NOT NULL,
	`identifier` integer,
	PRIMARY KEY(`client_id`, `topic_filter`)
);
CREATE TABLE `total` (
	`name` text PRIMARY KEY NOT NULL,
	`value` integer NOT NULL
);
INSERT INTO "delivery" VALUES ('$share/group/plain', -1, 1, 1, 0, NULL, NULL, NULL, 210);
INSERT INTO "delivery" VALUES ('$share/group/plain', 7, 2, 1, 0, '[3]', NULL, NULL, 210);
INSERT INTO "delivery" VALUES ('away', 1, 1, 1, 0, NULL, NULL, 1, 210);
INSERT INTO "delivery" VALUES ('away', 2, NULL, 2, 0, NULL, NULL, 65535, 210);
INSERT INTO "delivery" VALUES ('away', 3, 1, 1, 0, NULL, '$share/group/plain', 7, 210);
INSERT INTO "delivery" VALUES ('away', 4, 2, 2, 1, '[1,268435455]', NULL, NULL, 210);
INSERT INTO "delivery" VALUES ('away', 5, 3, 1, 0, NULL, '$share/group/plain', NULL, 210);
INSERT INTO "delivery" VALUES ('connected', 1, 1, 1, 0, NULL, NULL, NULL, 1073741824);
INSERT INTO "message" VALUES (1, 'plain', 1, 0, X'6F6E', X'', NULL, NULL);
INSERT INTO "message" VALUES (2, 'ü/🙂/it''s', 2, 1, X'00017F80FF', X'03000474657874', 4294967295, 1700000000123);
INSERT INTO "message" VALUES (3, 'empty', 0, 0, X'', X'', NULL, NULL);
INSERT INTO "message" VALUES (4, 'later', 1, 1, X'6F6E', X'', NULL, NULL);
INSERT INTO "received" VALUES ('away', 1);
INSERT INTO "received" VALUES ('connected', 65535);
INSERT INTO "retained" VALUES ('later', 4);
INSERT INTO "retained" VALUES ('ü/🙂/it''s', 2);
INSERT INTO "session" VALUES ('', 3600, 1700000000456, '{"topic":"will","payload":"","qos":2,"retain":true,"properties":"AQE=","delaySeconds":0}', NULL, 0);
INSERT INTO "session" VALUES ('away', 3600, 1700000000456, NULL, 'it''s 🙂', 0);
INSERT INTO "session" VALUES ('connected', 4294967295, NULL, NULL, NULL, 1);
INSERT INTO "session" VALUES ('nameless', 3600, 1700000000456, NULL, '', 0);
INSERT INTO "session" VALUES ('ü', 3600, 1700000000456, '{"topic":"will","payload":"YnllAA==","qos":2,"retain":true,"properties":"AQE=","expirySeconds":60,"delaySeconds":30}', NULL, 0);
INSERT INTO "subscription" VALUES ('away', '$share/group/plain', 1, 0, 1, 1, NULL);
INSERT INTO "subscription" VALUES ('away', '+/🙂/#', 2, 1, 0, 2, 268435455);
INSERT INTO "subscription" VALUES ('away', 'plain', 0, 0, 0, 0, NULL);
INSERT INTO "subscription" VALUES ('connected', 'plain', 1, 0, 0, 0, NULL);
INSERT INTO "total" VALUES ('bytesReceived', 9007199254740991);
INSERT INTO "total" VALUES ('clientsMaximum', 0);
