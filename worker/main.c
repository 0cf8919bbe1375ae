/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/undumpable.h"
#include "worker/fold.h"
#include "worker/import.h"
#include "worker/verify.h"
#include "worker/worker.h"

extern char **environ;

#define TEXT_MAX (1024 * 1024)

static int usage(FILE *to, int status)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX);

	buf_puts(&text,
		"zot-worker " ZOT_VERSION ": an OCI registry, alone or as one of a cluster\n\n"
		"  zot-worker serve [config.json]    serve; without a file, by environment variables alone\n"
		"  zot-worker verify [config.json]   check the settings, say everything that is wrong\n"
		"  zot-worker fold [config.json]     put the logs of all indexes into their index.json, for "
		"other "
		"tools\n"
		"  zot-worker import [config.json]   put repositories that other tools made into the "
		"catalog, "
		"now\n"
		"  zot-worker version\n"
		"  zot-worker help [markdown]        this text and all settings\n\n");
	if (to == stdout)
		settings_help(&worker_settings_table, &text);
	(void)fputs(buf_text(&text), to);
	return status;
}

/* The tables of docs/configuration.md. */
static int markdown(void)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX);

	settings_markdown(&worker_settings_table, &text);
	return fputs(buf_text(&text), stdout) < 0;
}

static void print_lines(const char *kind, const struct buf *lines)
{
	struct str rest = buf_str(lines), line;

	while (str_until(&rest, '\n', &line))
		(void)fprintf(stderr, "%s: %.*s\n", kind, STR_ARGS(line));
}

static bool load(const char *file, struct worker_settings *ret, struct settings_memory **ret_memory)
{
	AUTO_FINI(buf) warnings = buf_limit(TEXT_MAX);
	AUTO_FINI(buf) errors = buf_limit(TEXT_MAX);
	bool ok = worker_settings_load(file, environ, ret, ret_memory, &warnings, &errors);

	print_lines("warning", &warnings);
	print_lines("error", &errors);
	return ok;
}

/* And all that they name. */
static bool is_right(const struct worker_settings *settings)
{
	AUTO_FINI(buf) errors = buf_limit(TEXT_MAX);

	worker_verify(settings, &errors);
	print_lines("error", &errors);
	return !errors.len;
}

static int verify(const char *file)
{
	struct worker_settings settings;
	AUTO(settings_memory) *memory = NULL;

	if (!load(file, &settings, &memory) || !is_right(&settings))
		return 1;
	(void)puts("the settings are right");
	return 0;
}

static int run(const char *file, int (*fn)(const struct worker_settings *settings))
{
	struct worker_settings settings;
	AUTO(settings_memory) *memory = NULL;

	if (!load(file, &settings, &memory))
		return 1;
	if (!settings.core_dumps)
		undumpable();
	log_init((enum log_level)settings.log_level, settings.log_format != 0);
	if (settings.log_output && !log_open(settings.log_output)) {
		perror(settings.log_output);
		return 1;
	}
	return fn(&settings);
}

static int serve(const struct worker_settings *settings)
{
	return is_right(settings) ? worker_run(settings) : 1;
}

/* Threads come and go and so do large buffers: what is freed goes back to the system instead of into an arena
 * of each. */
static void tune_memory(void)
{
	(void)mallopt(M_ARENA_MAX, 4);
	(void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 512 * 1024);
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "help", *file = argc > 2 ? argv[2] : NULL;

	tune_memory();
	if (argc > 3) {
		(void)fprintf(stderr, "zot-worker: one configuration file at most\n");
		return 2;
	}
	if (!strcmp(command, "serve"))
		return run(file, serve);
	if (!strcmp(command, "fold"))
		return run(file, fold_run);
	if (!strcmp(command, "import"))
		return run(file, import_run);
	if (!strcmp(command, "verify"))
		return verify(file);
	if (!strcmp(command, "version") || !strcmp(command, "--version"))
		return printf("zot-worker " ZOT_VERSION "\n") < 0;
	if (!strcmp(command, "help") && file && !strcmp(file, "markdown"))
		return markdown();
	if (!strcmp(command, "help") || !strcmp(command, "--help"))
		return usage(stdout, 0);
	(void)fprintf(stderr, "zot-worker: \"%s\" is no command\n\n", command);
	return usage(stderr, 2);
}
