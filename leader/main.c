/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main - the command line of zot-leader.
 */
#include <stdio.h>
#include <unistd.h>

#include "common/check.h"
#include "common/command.h"
#include "common/log.h"
#include "common/supervisor.h"
#include "common/undumpable.h"
#include "leader/backup.h"
#include "leader/copy.h"
#include "leader/ctl/ctl.h"
#include "leader/leader.h"
#include "leader/reset_admin.h"
#include "leader/restore.h"
#include "leader/verify.h"

#define TEXT_MAX (1024 * 1024)

typedef int run_f(const struct leader_settings *settings, const struct command_call *call);

static int with_settings(const char *file, run_f *run, const struct command_call *call)
{
	AUTO_FINI(buf) warnings = buf_limit(TEXT_MAX);
	AUTO_FINI(buf) errors = buf_limit(TEXT_MAX);
	AUTO(settings_memory) *memory = NULL;
	struct leader_settings settings;
	bool ok = leader_settings_load(file, environ, &settings, &memory, &warnings, &errors);

	command_say("zot-leader: warning", &warnings);
	command_say("zot-leader: error", &errors);
	if (!ok)
		return 1;
	if (!settings.core_dumps)
		undumpable();
	log_init((enum log_level)settings.log_level, settings.log_format == 1);
	return run(&settings, call);
}

/* And all that they name. */
static bool is_right(const struct leader_settings *settings)
{
	AUTO_FINI(buf) errors = buf_limit(TEXT_MAX);

	leader_verify(settings, &errors);
	command_say("zot-leader: error", &errors);
	return !errors.len;
}

static int verified(const struct leader_settings *settings, const struct command_call *call)
{
	(void)call;
	if (!is_right(settings))
		return 1;
	(void)puts("The settings are good.");
	return 0;
}

/* With the same environment and port; what else it holds now is closed. */
static int start_anew(const struct command_call *call, int listening)
{
	char program[] = "zot-leader", what[] = "serve";
	AUTO_STR *file = call->argument ? check_strdup(call->argument) : NULL;

	supervisor_keep_listening(listening);
	(void)execv("/proc/self/exe", (char *const[]){ program, what, file, NULL });
	return 1;
}

static int serve_right(const struct leader_settings *settings, const struct command_call *call)
{
	int listening = -1, status = is_right(settings) ? leader_run(settings, &listening) : 1;

	return status == LEADER_AGAIN ? start_anew(call, listening) : status;
}

static int serve(const struct command_call *call)
{
	return with_settings(call->argument, serve_right, call);
}

static int verify(const struct command_call *call)
{
	return with_settings(call->argument, verified, call);
}

static int backup_named(const struct leader_settings *settings, const struct command_call *call)
{
	return backup_run(settings, call->argument, command_option(call, "--force") != NULL);
}

static int backup(const struct command_call *call)
{
	if (call->argument)
		return with_settings(command_option(call, "--settings"), backup_named, call);
	(void)fputs("zot-leader: error: backup: name the file that is to be made\n", stderr);
	return 2;
}

static int restore_named(const struct leader_settings *settings, const struct command_call *call)
{
	const struct restore_from from = { .file = call->argument,
		.worker = command_option(call, "--from-worker"),
		.backup = command_option(call, "--from-backup") != NULL,
		.ca_file = command_option(call, "--ca") };

	return restore_run(settings, &from);
}

static int restore(const struct command_call *call)
{
	return with_settings(command_option(call, "--settings"), restore_named, call);
}

static int copy_named(const struct leader_settings *settings, const struct command_call *call)
{
	const struct copy_ends ends = { .from = command_option(call, "--from"),
		.to = command_option(call, "--to"),
		.replace = command_option(call, "--replace") != NULL };

	return copy_run(settings, &ends);
}

static int copy(const struct command_call *call)
{
	return with_settings(command_option(call, "--settings"), copy_named, call);
}

#define SETTINGS_OPTION                                                                                      \
	{                                                                                                    \
		"--settings", "config.json", "where the leader's settings are, beside the environment"       \
	}
static const struct command_option backup_options[] = {
	{ "--force", NULL, "replace the file if it is there" },
	SETTINGS_OPTION,
};
static const struct command_option restore_options[] = {
	{ "--from-worker", "FILE|URL", "a worker's state.bin, or a worker that runs (http://worker:5000)" },
	{ "--from-backup", NULL,
		"the backup of the state that CLUSTER_BACKUP_... names, or FILE, a copy of one" },
	{ "--ca", "FILE", "with an https URL: the CA of its certificate (PEM)" },
	SETTINGS_OPTION,
};

static const struct command_option copy_options[] = {
	{ "--from", "STORE", "sqlite:FOLDER, or a Redis: redis://host:6379" },
	{ "--to", "STORE", "the other one of the two" },
	{ "--replace", NULL, "replace what is there" },
	SETTINGS_OPTION,
};

static int reset_named(const struct leader_settings *settings, const struct command_call *call)
{
	(void)call;
	return reset_admin(settings);
}

static int reset(const struct command_call *call)
{
	return with_settings(call->argument, reset_named, call);
}

#define FILE_ARGUMENT "config.json"
static const struct command rows[] = {
	{ "serve", FILE_ARGUMENT, "run until SIGTERM; without a file, by environment variables alone",
		.run = serve },
	{ "backup", "FILE", "copy the leader's store into a file, also while the leader runs", .run = backup,
		.options = backup_options,
		.options_len = sizeof(backup_options) / sizeof(backup_options[0]) },
	{ "restore", "FILE",
		"put a backup, or what a worker knows, in the place of the store; the leader must not run",
		.run = restore, .options = restore_options,
		.options_len = sizeof(restore_options) / sizeof(restore_options[0]) },
	{ "copy", NULL, "move the store from SQLite to Redis or back, and compare; no leader may run",
		.run = copy, .options = copy_options,
		.options_len = sizeof(copy_options) / sizeof(copy_options[0]) },
	{ "verify", FILE_ARGUMENT, "check the settings and what they name, say everything that is wrong",
		.run = verify },
	{ "reset-admin", FILE_ARGUMENT,
		"with the leader stopped: give ZOT_ADMIN_USER a new password and print it", .run = reset },
	{ "ctl", "COMMAND", "the admin API from anywhere: users, keys, members, audit; ctl help says more",
		.below = &ctl_commands },
};

static const struct command_table commands = { .program = "zot-leader",
	.what = "the control plane of a cluster of zot-workers",
	.rows = rows,
	.len = sizeof(rows) / sizeof(rows[0]),
	.settings = &leader_settings_table };

int main(int argc, char **argv)
{
	return command_main(&commands, argc, argv);
}
