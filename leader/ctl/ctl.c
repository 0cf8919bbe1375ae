/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>

#include "leader/ctl/grid.h"

#define TEXT_MAX (64u * 1024)

void ctl_say(const char *format, ...)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX);
	AUTO_FINI(buf) clean = buf_limit(4 * TEXT_MAX);
	va_list args;

	va_start(args, format);
	buf_vformat(&text, format, args);
	va_end(args);
	grid_clean(buf_str(&text), &clean);
	(void)fprintf(stderr, "zot-leader ctl: %s\n", buf_text(&clean));
}

int ctl_wrong(const char *text)
{
	ctl_say("%s (--help says more)", text);
	return CTL_WRONG_USE;
}

/* The table. */

#define ASKING                                                                                               \
	{ "--leader", "URL[,URL...]", "the leaders; else ZOT_LEADER_URL, CLUSTER_LEADER_URLS" },             \
		{ "--user", "NAME", "as whom; else ZOT_LEADER_USER, else admin" },                           \
		{ "--password-file", "FILE", "its first line; else ZOT_API_KEY, ZOT_LEADER_PASSWORD" },      \
		{ "--ca", "FILE", "with https: the CA of the leaders' certificates (PEM)" },                 \
	{                                                                                                    \
		"--json", NULL, "for programs: what the API answers"                                         \
	}
#define OF(own) .options = (own), .options_len = sizeof(own) / sizeof((own)[0])

static const struct command_option asking[] = { ASKING };
static const struct command_option getting[] = { ASKING,
	{ "--filter", "FIELD:VALUE[,...]",
		"of a list: those for which all of these hold; a * at the end: begins so" },
	{ "--words", "WORDS", "of a list: those that have these words in id or label" },
	{ "--sort", "FIELD", "of a list: by this field; -FIELD downwards, as --sort=-FIELD" } };
static const struct command_option draining[] = { ASKING,
	{ "--force", NULL, "also where its repositories are nobody else's" } };
static const struct command_option choring[] = { ASKING,
	{ "--dry-run", NULL, "it tells what it would do, and changes nothing" } };
static const struct command_option living[] = { ASKING,
	{ "--every", "MS", "how often, 2000 if it is left out" } };
static const struct command_option making[] = { ASKING,
	{ "-f", "FILE", "the body, as JSON; - is standard input" } };
static const struct command_option changing[] = { ASKING,
	{ "-f", "FILE", "the body, as JSON; - is standard input" },
	{ "--replace", NULL, "the whole of it: what is not given has its default" },
	{ "--revision", "N", "only if it is at this revision" } };
static const struct command_option deleting[] = { ASKING,
	{ "--revision", "N", "only if it is at this revision" } };
static const struct command_option rotating[] = { ASKING,
	{ "--grace", "SECONDS", "how long the secret before opens on" },
	{ "--again", NULL, "also while the one before that opens on" } };
static const struct command_option of_usage[] = { ASKING, { "--apikey", "ID", "of one key" },
	{ "--owner", "NAME", "of the keys of a user" },
	{ "--group", "NAME", "of the keys of all users of a group" }, { "--day", "YYYY-MM-DD", "of one day" },
	{ "--month", "YYYY-MM", "of one month" },
	{ "--repository", "NAME", "of a repository, of all with an empty name" },
	{ "--by", "user|group", "of each of them together, in a day or month" } };
static const struct command_option of_audit[] = { ASKING,
	{ "--since", "TIME", "from then on: RFC 3339, or seconds" }, { "--until", "TIME", "before then" },
	{ "--by", "NAME", "what this user did" }, { "--kind", "KIND", "of a kind" },
	{ "--id", "ID", "of one of them" }, { "--n", "N", "so many rows, 1000 at the most" },
	{ "--last", "NUMBER", "those before this one" } };
static const struct command_option of_access[] = { ASKING, { "--of", "NAME", "a user" },
	{ "--key", "ID", "an API key" } };
static const struct command_option importing[] = { ASKING,
	{ "--dry-run", NULL, "says what would change, and changes nothing" },
	{ "--mode", "merge|replace", "replace: what the file does not have goes" } };

static const struct command rows[] = {
	{ "get", "KIND [ID]", "all users, apikeys, policies, workers, or one of them", .run = ctl_get,
		OF(getting), .arguments_most = 2 },
	{ "create", "KIND [ID] FIELD=VALUE...", "make one; what secret it has is shown this once",
		.run = ctl_create, OF(making), .arguments_most = COMMAND_ARGUMENTS_MAX },
	{ "set", "KIND ID FIELD=VALUE...", "change some of its fields", .run = ctl_set, OF(changing),
		.arguments_most = COMMAND_ARGUMENTS_MAX },
	{ "delete", "KIND ID", "a user's keys go with the user", .run = ctl_delete, OF(deleting),
		.arguments_most = 2 },
	{ "rotate", "ID", "another secret for an API key", .run = ctl_rotate, OF(rotating) },
	{ "members", NULL, "the workers", .run = ctl_members, OF(asking) },
	{ "forget", "NAME", "a worker that does not come back", .run = ctl_forget, OF(asking) },
	{ "drain", "NAME", "a worker owns nothing from now on, and is served out", .run = ctl_drain,
		OF(draining) },
	{ "undrain", "NAME", "it owns again", .run = ctl_undrain, OF(asking) },
	{ "evacuate", "NAME", "drain, and wait until it may be stopped", .run = ctl_evacuate, OF(draining) },
	{ "chores", "[NAME]", "what the workers, or one, do without being asked", .run = ctl_chores,
		OF(asking) },
	{ "chore", "start|stop CHORE [NAME]", "a run of it begins or ends now, at all or at one",
		.run = ctl_chore, OF(choring), .arguments_most = 3 },
	{ "rescue", "CLUSTER", "a Redis that lost what it had gets a leader's memory", .run = ctl_rescue,
		OF(asking) },
	{ "usage", NULL, "what API keys and repositories used", .run = ctl_usage, OF(of_usage) },
	{ "audit", NULL, "who changed what", .run = ctl_audit, OF(of_audit) },
	{ "access", "REPOSITORY ACTION", "may somebody do this, and why", .run = ctl_access, OF(of_access),
		.arguments_most = 2 },
	{ "watch", NULL, "members and changes as they come", .run = ctl_watch, OF(asking) },
	{ "live", NULL, "the cluster's figures and events as they come", .run = ctl_live, OF(living) },
	{ "bulk", "create|replace|set|delete KIND FILE", "many of a kind as one write, one a line",
		.run = ctl_bulk, OF(asking), .arguments_most = 3 },
	{ "export", "FILE", "all of it, with hashes of secrets, one entity a line", .run = ctl_export,
		OF(asking) },
	{ "import", "FILE", "what was exported", .run = ctl_import, OF(importing) },
};

const struct command_table ctl_commands = { .program = "zot-leader ctl",
	.what = "the admin API of a leader, from anywhere",
	.rows = rows,
	.len = sizeof(rows) / sizeof(rows[0]),
	.status =
		"It ends with 0 when it is done, 1 when it was refused or failed, 2 when the command line is "
		"wrong, 3 when no leader was reached." };
