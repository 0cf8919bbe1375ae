/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_live - the cluster's figures and events as a leader tells them, until it is ended.
 *
 * A stream ends after an hour, or with its leader: then another one is asked, or the same again.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "leader/ctl/client.h"
#include "leader/ctl/event_lines.h"
#include "leader/ctl/show.h"

#define AGAIN_MS 1000
#define TEXT_MAX (64u * 1024)

struct live {
	bool json, told; /* told: of this stream something came */
	struct event_lines lines;
};

/* {"at","event","data"} */
static void put_json(const char *at, const char *name, struct str data)
{
	(void)printf("{\"at\":\"%s\",\"event\":\"%s\",\"data\":%.*s}\n", at, name, STR_ARGS(data));
}

static void put_members(const struct json *data, struct buf *into)
{
	const struct json *gone = json_find(data, "gone");

	buf_format(into, "%zu were heard or have changed", json_len(json_find(data, "changed")));
	if (json_len(gone)) {
		buf_puts(into, ", gone: ");
		show_value(gone, into);
	}
}

/* "3 quotas: user:ann day 9 of 10" */
static void put_quotas(const struct json *data, struct buf *into)
{
	const struct json *quotas = json_find(data, "quotas"), *first = json_at(quotas, 0);
	static const char *const members[] = { "subject", "kind", "used", "limit" };

	buf_format(into, "%zu are used%s", json_len(quotas), first ? "; nearest to its end:" : "");
	for (size_t i = 0; first && i < sizeof(members) / sizeof(members[0]); i++) {
		buf_puts(into, i == 3 ? " of " : " ");
		show_value(json_find(first, members[i]), into);
	}
}

static void put_figures(const struct json *data, struct buf *into)
{
	static const char *const members[] = { "active", "lost", "rate", "errors", "bytesIn", "bytesOut",
		"p50", "p99", "open", "storage" };

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		buf_format(into, "%s%s ", i ? ", " : "", members[i]);
		show_value(json_find(data, members[i]), into);
	}
}

static void put_ring(const struct json *data, struct buf *into)
{
	buf_puts(into, "epoch ");
	show_value(json_find(data, "epoch"), into);
	buf_format(into, ", %zu members", json_len(json_find(data, "members")));
}

static void put_line(const char *at, const char *name, const struct json *data)
{
	static const struct {
		const char *name;
		void (*put)(const struct json *data, struct buf *into);
	} ways[] = { { "cluster", put_figures }, { "members", put_members }, { "quotas", put_quotas },
		{ "ring", put_ring } };
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX);
	AUTO_FINI(buf) clean = buf_limit(4 * TEXT_MAX);
	size_t way = 0;

	while (way < sizeof(ways) / sizeof(ways[0]) && strcmp(ways[way].name, name) != 0)
		way++;
	buf_format(&text, "%s ", name);
	if (way < sizeof(ways) / sizeof(ways[0]))
		ways[way].put(data, &text);
	else
		show_value(data, &text);
	grid_clean(buf_str(&text), &clean);
	(void)printf("%s %s\n", at, buf_text(&clean));
}

/* What is no JSON is no event of a leader. */
static void tell(void *arg, const char *name, struct str data)
{
	struct live *live = arg;
	AUTO(json_doc) *doc = NULL;
	char now[CLOCK_RFC3339_SIZE];

	if (!json_parse(data, &doc, NULL))
		return;
	live->told = true;
	clock_rfc3339(clock_wall_ms(), now);
	if (live->json)
		put_json(now, name, data);
	else
		put_line(now, name, json_root(doc));
	(void)fflush(stdout);
}

static bool take(void *arg, struct str piece, struct error *err)
{
	struct live *live = arg;

	return event_lines_take(&live->lines, piece, err);
}

static void follow(struct client *client, const struct client_ask *ask, struct live *live, int *ret_status)
{
	const struct http_fetch_into into = { .take = take, .arg = live };
	bool away = false;

	do {
		struct client_ask now = *ask;

		now.quiet = away;
		live->told = false;
		event_lines_reset(&live->lines);
		*ret_status = client_follow(client, &now, &into);
		if (*ret_status == CTL_UNREACHABLE && !away)
			ctl_say("no leader is reached; trying again");
		away = *ret_status == CTL_UNREACHABLE;
		if (!live->told)
			(void)poll(NULL, 0, AGAIN_MS);
	} while (*ret_status != CTL_FAILED);
}

int ctl_live(const struct command_call *call)
{
	const char *every = command_option(call, "--every");
	struct live live = { .json = command_option(call, "--json") != NULL };
	struct client_ask ask = { .method = "GET", .accept = "text/event-stream" };
	AUTO_FINI(buf) path = buf_limit(128);
	AUTO(client) *client = NULL;
	uint64_t ms = 2000;
	int status;

	if (every && (!str_to_number(str_of(every), 10000, &ms) || !ms))
		return ctl_wrong("live: --every is a number of milliseconds, 10000 at the most");
	buf_format(&path, "/api/cluster/live?every=%d", (int)ms);
	ask.path = buf_text(&path);
	if (!client_new(&client, call, &status))
		return status;
	event_lines_init(&live.lines, tell, &live);
	follow(client, &ask, &live, &status);
	event_lines_fini(&live.lines);
	return status;
}
