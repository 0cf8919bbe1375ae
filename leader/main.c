/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main - the command line of zot-leader.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/undumpable.h"
#include "leader/leader.h"
#include "leader/verify.h"

#define TEXT_MAX (1024 * 1024)

static void usage(FILE *out)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX);

	settings_help(&leader_settings_table, &text);
	(void)fprintf(out,
		"zot-leader - the control plane of a cluster of zot-workers\n\n"
		"  zot-leader serve [config.json]    run until SIGTERM\n"
		"  zot-leader verify [config.json]   check the settings and exit\n"
		"  zot-leader version\n"
		"  zot-leader help [markdown]        this text and all settings\n\n"
		"Settings come from the file and from variables; a variable beats the file.\n\n%s",
		buf_text(&text));
}

/* The table of docs/configuration.md. */
static int markdown(void)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX);

	settings_markdown(&leader_settings_table, &text);
	return fputs(buf_text(&text), stdout) < 0;
}

static void say_lines(const char *word, const struct buf *lines)
{
	struct str rest = buf_str(lines), line;

	while (str_until(&rest, '\n', &line))
		(void)fprintf(stderr, "zot-leader: %s: %.*s\n", word, STR_ARGS(line));
	if (rest.len)
		(void)fprintf(stderr, "zot-leader: %s: %.*s\n", word, STR_ARGS(rest));
}

static int with_settings(const char *file, int (*run)(const struct leader_settings *settings))
{
	AUTO_FINI(buf) warnings = buf_limit(TEXT_MAX);
	AUTO_FINI(buf) errors = buf_limit(TEXT_MAX);
	AUTO(settings_memory) *memory = NULL;
	struct leader_settings settings;
	bool ok = leader_settings_load(file, environ, &settings, &memory, &warnings, &errors);

	say_lines("warning", &warnings);
	say_lines("error", &errors);
	if (!ok)
		return 2;
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
	say_lines("error", &errors);
	return !errors.len;
}

static int verified(const struct leader_settings *settings)
{
	if (!is_right(settings))
		return 2;
	(void)puts("The settings are good.");
	return 0;
}

static int serve(const struct leader_settings *settings)
{
	return is_right(settings) ? leader_run(settings) : 2;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "help";
	const char *file = argc > 2 ? argv[2] : NULL;

	if (argc <= 3 && !strcmp(command, "serve"))
		return with_settings(file, serve);
	if (argc <= 3 && !strcmp(command, "verify"))
		return with_settings(file, verified);
	if (argc == 2 && (!strcmp(command, "version") || !strcmp(command, "--version"))) {
		(void)puts("zot-leader " ZOT_VERSION);
		return 0;
	}
	if (argc == 3 && !strcmp(command, "help") && !strcmp(file, "markdown"))
		return markdown();
	if (argc <= 2 && (!strcmp(command, "help") || !strcmp(command, "--help") || !strcmp(command, "-h"))) {
		usage(argc > 1 ? stdout : stderr);
		return argc > 1 ? 0 : 2;
	}
	usage(stderr);
	return 2;
}
