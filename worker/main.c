/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdio.h>

#include "common/command.h"
#include "common/log.h"
#include "common/undumpable.h"
#include "worker/evacuate.h"
#include "worker/explain.h"
#include "worker/fold.h"
#include "worker/gc.h"
#include "worker/import.h"
#include "worker/retain.h"
#include "worker/scrub.h"
#include "worker/statistics.h"
#include "worker/verify.h"
#include "worker/worker.h"

extern char **environ;

#define TEXT_MAX (1024 * 1024)

static bool load(const char *file, struct worker_settings *ret, struct settings_memory **ret_memory)
{
	AUTO_FINI(buf) warnings = buf_limit(TEXT_MAX);
	AUTO_FINI(buf) errors = buf_limit(TEXT_MAX);
	bool ok = worker_settings_load(file, environ, ret, ret_memory, &warnings, &errors);

	command_say("warning", &warnings);
	command_say("error", &errors);
	return ok;
}

/* And all that they name. */
static bool is_right(const struct worker_settings *settings)
{
	AUTO_FINI(buf) errors = buf_limit(TEXT_MAX);

	worker_verify(settings, &errors);
	command_say("error", &errors);
	return !errors.len;
}

static int verify(const struct command_call *call)
{
	AUTO_FINI(buf) known = buf_limit(TEXT_MAX);
	struct worker_settings settings;
	AUTO(settings_memory) *memory = NULL;

	if (!load(call->argument, &settings, &memory) || !is_right(&settings))
		return 1;
	worker_verify_tell(&settings, &known);
	(void)printf("%sthe settings are right\n", buf_text(&known));
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

static int serve_right(const struct worker_settings *settings)
{
	return is_right(settings) ? worker_run(settings) : 1;
}

static int serve(const struct command_call *call)
{
	return run(call->argument, serve_right);
}

static int fold(const struct command_call *call)
{
	return run(call->argument, fold_run);
}

static int import(const struct command_call *call)
{
	return run(call->argument, import_run);
}

static int run_gc(const struct worker_settings *settings)
{
	return gc_run(settings, false);
}

static int run_dry_gc(const struct worker_settings *settings)
{
	return gc_run(settings, true);
}

static int gc(const struct command_call *call)
{
	return run(call->argument, command_option(call, "--dry-run") ? run_dry_gc : run_gc);
}

static int run_scrub(const struct worker_settings *settings)
{
	return scrub_run(settings, false);
}

static int run_dry_scrub(const struct worker_settings *settings)
{
	return scrub_run(settings, true);
}

static int scrub(const struct command_call *call)
{
	return run(call->argument, command_option(call, "--dry-run") ? run_dry_scrub : run_scrub);
}

static int statistics(const struct command_call *call)
{
	struct worker_settings settings;
	AUTO(settings_memory) *memory = NULL;

	if (!load(call->argument, &settings, &memory))
		return 1;
	return statistics_run(&settings, command_option(call, "--repository"));
}

static int evacuate(const struct command_call *call)
{
	struct worker_settings settings;
	AUTO(settings_memory) *memory = NULL;

	if (!load(call->argument, &settings, &memory))
		return 1;
	return evacuate_run(&settings, command_option(call, "--undo") != NULL);
}

static int explain(const struct command_call *call)
{
	struct explain_question question = { .user = command_option(call, "--user"),
		.groups = command_option(call, "--groups"),
		.key = command_option(call, "--key"),
		.repository = command_option(call, "--repository"),
		.action = command_option(call, "--action") };
	struct worker_settings settings;
	AUTO(settings_memory) *memory = NULL;

	/* 1 is an answer here. */
	if (!load(call->argument, &settings, &memory))
		return 2;
	return explain_run(&settings, &question);
}

static int retain(const struct command_call *call)
{
	struct worker_settings settings;
	AUTO(settings_memory) *memory = NULL;

	if (!load(call->argument, &settings, &memory))
		return 1;
	return retain_run(&settings, command_option(call, "--json") != NULL);
}

/* Threads come and go and so do large buffers: what is freed goes back to the system instead of into an arena
 * of each. */
static void tune_memory(void)
{
	(void)mallopt(M_ARENA_MAX, 4);
	(void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 512 * 1024);
}

static const struct command_option of_access[] = {
	{ "--user", "NAME", "who asks; without it nobody is logged in" },
	{ "--groups", "NAME,...", "groups of theirs beside those of the settings" },
	{ "--key", "ID", "an API key: leaders have these, and decide" },
	{ "--repository", "NAME", "where" },
	{ "--action", "ACTION", "read, create, update, delete or detectManifestCollision" },
};

static const struct command_option of_gc[] = {
	{ "--dry-run", NULL, "say what would go, remove nothing" },
};

static const struct command_option of_scrub[] = {
	{ "--dry-run", NULL, "say what is wrong, change nothing" },
};

static const struct command_option of_statistics[] = {
	{ "--repository", "NAME", "whose" },
};

static const struct command_option of_evacuate[] = {
	{ "--undo", NULL, "it owns again" },
};

static const struct command_option of_retention[] = {
	{ "--json", NULL, "a JSON object on each line" },
};

#define FILE_ARGUMENT "config.json"
/* zot's name for it. */
static const struct command features[] = {
	{ "retention", FILE_ARGUMENT,
		"say which tags and manifests storage.retention keeps and which it would remove, and why",
		.run = retain, .options = of_retention,
		.options_len = sizeof(of_retention) / sizeof(of_retention[0]) },
};

static const struct command_table feature_commands = { .program = "zot-worker verify-feature",
	.what = "what a part of the settings would do; nothing is changed",
	.rows = features,
	.len = sizeof(features) / sizeof(features[0]) };

static const struct command rows[] = {
	{ "serve", FILE_ARGUMENT, "serve; without a file, by environment variables alone", .run = serve },
	{ "verify", FILE_ARGUMENT, "check the settings and what they name, say everything that is wrong",
		.run = verify },
	{ "fold", FILE_ARGUMENT, "put the logs of all indexes into their index.json, for other tools",
		.run = fold },
	{ "import", FILE_ARGUMENT, "put repositories that other tools made into the catalog, now",
		.run = import },
	{ "gc", FILE_ARGUMENT, "remove what no manifest needs and is older than storage.gcDelay, now",
		.run = gc, .options = of_gc, .options_len = sizeof(of_gc) / sizeof(of_gc[0]) },
	{ "scrub", FILE_ARGUMENT,
		"read all that is stored, set aside what is rotten and heal it where there is a good copy, "
		"now",
		.run = scrub, .options = of_scrub, .options_len = sizeof(of_scrub) / sizeof(of_scrub[0]) },
	{ "statistics", FILE_ARGUMENT,
		"say when and by whom a repository's tags and manifests were pushed, and how often they were "
		"pulled",
		.run = statistics, .options = of_statistics,
		.options_len = sizeof(of_statistics) / sizeof(of_statistics[0]) },
	{ "evacuate", FILE_ARGUMENT,
		"have the others take over what this worker owns, and wait until it may be stopped",
		.run = evacuate, .options = of_evacuate,
		.options_len = sizeof(of_evacuate) / sizeof(of_evacuate[0]) },
	{ "verify-feature", "FEATURE", "say what a part of the settings would do",
		.below = &feature_commands },
	{ "access", FILE_ARGUMENT, "say who may do what by the settings: 0 allowed, 1 refused, 2 wrong use",
		.run = explain, .options = of_access,
		.options_len = sizeof(of_access) / sizeof(of_access[0]) },
};

static const struct command_table commands = { .program = "zot-worker",
	.what = "an OCI registry, alone or as one of a cluster",
	.rows = rows,
	.len = sizeof(rows) / sizeof(rows[0]),
	.settings = &worker_settings_table };

int main(int argc, char **argv)
{
	tune_memory();
	return command_main(&commands, argc, argv);
}
