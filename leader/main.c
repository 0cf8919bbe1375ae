/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main - the command line of zot-leader.
 */
#include <stdio.h>
#include <unistd.h>

#include "common/command.h"
#include "common/log.h"
#include "common/undumpable.h"
#include "leader/leader.h"
#include "leader/verify.h"

#define TEXT_MAX (1024 * 1024)

static int with_settings(const char *file, int (*run)(const struct leader_settings *settings))
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
	return run(&settings);
}

/* And all that they name. */
static bool is_right(const struct leader_settings *settings)
{
	AUTO_FINI(buf) errors = buf_limit(TEXT_MAX);

	leader_verify(settings, &errors);
	command_say("zot-leader: error", &errors);
	return !errors.len;
}

static int verified(const struct leader_settings *settings)
{
	if (!is_right(settings))
		return 1;
	(void)puts("The settings are good.");
	return 0;
}

static int serve_right(const struct leader_settings *settings)
{
	return is_right(settings) ? leader_run(settings) : 1;
}

static int serve(const struct command_call *call)
{
	return with_settings(call->argument, serve_right);
}

static int verify(const struct command_call *call)
{
	return with_settings(call->argument, verified);
}

#define FILE_ARGUMENT "config.json"
static const struct command rows[] = {
	{ "serve", FILE_ARGUMENT, "run until SIGTERM; without a file, by environment variables alone",
		.run = serve },
	{ "verify", FILE_ARGUMENT, "check the settings and what they name, say everything that is wrong",
		.run = verify },
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
