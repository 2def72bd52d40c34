ALTER TABLE `session` ADD `username` text;--> statement-breakpoint
ALTER TABLE `session` ADD `is_anonymous` integer DEFAULT false NOT NULL;