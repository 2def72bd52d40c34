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
--> statement-breakpoint
CREATE INDEX `delivery_message` ON `delivery` (`message_id`);--> statement-breakpoint
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
--> statement-breakpoint
CREATE TABLE `received` (
	`client_id` text NOT NULL,
	`packet_id` integer NOT NULL,
	PRIMARY KEY(`client_id`, `packet_id`)
);
--> statement-breakpoint
CREATE TABLE `retained` (
	`topic` text PRIMARY KEY NOT NULL,
	`message_id` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `retained_message` ON `retained` (`message_id`);--> statement-breakpoint
CREATE TABLE `session` (
	`client_id` text PRIMARY KEY NOT NULL,
	`expiry_seconds` integer NOT NULL,
	`disconnected_at` integer,
	`will` text
);
--> statement-breakpoint
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
--> statement-breakpoint
CREATE TABLE `total` (
	`name` text PRIMARY KEY NOT NULL,
	`value` integer NOT NULL
);
