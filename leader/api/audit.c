/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit - GET /api/audit: what was changed, by whom and from where; what was refused; what was over.
 *
 *     ?since=, &until=       RFC 3339, or seconds
 *     &user=, &kind=, &id=   of one of them
 *     &n=, &last=            1 to 1000 rows, newest first, before the number `last`; Link leads on
 *     &after=                oldest first, behind that number: for who follows
 *
 * {"items":[...],"more":true}, or one row a line with Accept: application/x-ndjson. A row has what entity_diff.h says beside it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "leader/large_write.h"
#include "proto/timestamp.h"

#define N_DEFAULT     100
#define N_MAX         1000
#define PARAMETER_MAX 1024
#define WINDOW        2000 /* rows that are looked at under the lock */
#define BODY_MAX      (N_MAX * ((size_t)LEDGER_AUDIT_DETAIL_MAX + 8192))
#define LINES_TYPE    "application/x-ndjson"

enum { SINCE, UNTIL, USER, KIND, ID, N, LAST, AFTER, PARAMETERS };
static const char *const names[PARAMETERS] = { "since", "until", "user", "kind", "id", "n", "last", "after" };

struct asked {
	struct buf values[PARAMETERS];
	bool given[PARAMETERS];
	struct ledger_audit_ask ask;
	uint64_t n;
};

struct listing {
	struct buf body;
	struct json_writer w;
	bool lines, more;
	uint64_t n, rows, last;
};

static void asked_fini(struct asked *asked)
{
	for (size_t i = 0; i < PARAMETERS; i++)
		buf_fini(&asked->values[i]);
}

/* What is asked. */

static bool read_parameters(const struct api_job *job, struct asked *asked)
{
	for (size_t i = 0; i < PARAMETERS; i++) {
		asked->values[i] = buf_limit(PARAMETER_MAX);
		if (!api_parameter(job, names[i], &asked->values[i], &asked->given[i]))
			return false;
	}
	return true;
}

static bool read_time(const struct asked *asked, int at, int64_t *ret_ms, struct error *err)
{
	struct str text = buf_str(&asked->values[at]);
	uint64_t seconds;
	int64_t wall_s;

	if (!asked->given[at])
		return true;
	if (str_to_number(text, INT64_MAX / 1000, &seconds))
		*ret_ms = (int64_t)seconds * 1000;
	else if (timestamp_parse(text, &wall_s, err))
		*ret_ms = wall_s * 1000;
	else
		return error_add(err, "%s", names[at]);
	return true;
}

static bool read_number(
	const struct asked *asked, int at, uint64_t least, uint64_t most, uint64_t *ret, struct error *err)
{
	uint64_t number;

	if (!asked->given[at])
		return true;
	if (!str_to_number(buf_str(&asked->values[at]), most, &number) || number < least)
		return error_set(err, ERROR_INVALID, NULL, "%s: is a number from %" PRIu64 " to %" PRIu64,
			names[at], least, most);
	*ret = number;
	return true;
}

static const char *text_of(const struct asked *asked, int at)
{
	return asked->given[at] ? buf_text(&asked->values[at]) : NULL;
}

static bool understand(struct asked *asked, struct error *err)
{
	asked->n = N_DEFAULT;
	if (!read_time(asked, SINCE, &asked->ask.since_ms, err) ||
		!read_time(asked, UNTIL, &asked->ask.until_ms, err) ||
		!read_number(asked, N, 1, N_MAX, &asked->n, err) ||
		!read_number(asked, LAST, 1, INT64_MAX, &asked->ask.before, err) ||
		!read_number(asked, AFTER, 0, INT64_MAX, &asked->ask.after, err))
		return false;
	if (asked->given[LAST] && asked->given[AFTER])
		return error_set(err, ERROR_INVALID, NULL,
			"ask for those before \"last\" or behind \"after\", not for both");
	asked->ask.user = text_of(asked, USER);
	asked->ask.kind = text_of(asked, KIND);
	asked->ask.id = text_of(asked, ID);
	asked->ask.oldest_first = asked->given[AFTER];
	return true;
}

/* The answer. */

static void put_detail(struct json_writer *w, const char *detail)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *value;
	struct str key;

	/* Its own: the ledger gives back what audit.h made. */
	if (!json_parse_own(str_of(detail), &doc, NULL))
		return;
	for (void *it = NULL; json_next(json_root(doc), &it, &key, &value);) {
		json_key(w, key);
		json_value_node(w, value);
	}
}

static void put_row(struct json_writer *w, const struct ledger_audit *row)
{
	char at[CLOCK_RFC3339_SIZE];

	clock_rfc3339(row->at_ms, at);
	json_open_object(w);
	json_put_uint(w, "number", row->number);
	json_put_text(w, "at", at);
	json_put_text(w, "user", row->user);
	json_put_text(w, "apikey", row->apikey);
	json_put_text(w, "from", row->from);
	json_put_text(w, "kind", row->kind);
	json_put_text(w, "id", row->id);
	json_put_text(w, "how", row->how);
	json_put_uint(w, "revision", row->revision);
	json_put_uint(w, "count", row->count);
	put_detail(w, row->detail);
	json_close_object(w);
}

static bool on_row(void *arg, const struct ledger_audit *row)
{
	struct listing *listing = arg;

	if (listing->rows == listing->n) {
		listing->more = true;
		return false;
	}
	if (listing->lines)
		listing->w = json_writer(&listing->body);
	put_row(&listing->w, row);
	if (listing->lines)
		buf_putc(&listing->body, '\n');
	listing->last = row->number;
	listing->rows++;
	return true;
}

static void put_parameter(struct buf *into, const char *name, struct str value)
{
	buf_format(into, "%s%s=", into->at[into->len - 1] == '?' ? "" : "&", name);
	buf_url(into, value, "");
}

/* The same question from the last row on. */
static void put_link(struct http_response *response, const struct asked *asked, uint64_t last)
{
	AUTO_FINI(buf) link = buf_limit(8192);

	buf_puts(&link, "</api/audit?");
	for (size_t i = 0; i < PARAMETERS; i++)
		if (asked->given[i] && i != LAST && i != AFTER)
			put_parameter(&link, names[i], buf_str(&asked->values[i]));
	buf_format(&link, "%s%s=%" PRIu64 ">; rel=\"next\"", link.at[link.len - 1] == '?' ? "" : "&",
		asked->ask.oldest_first ? "after" : "last", last);
	if (!link.failed)
		http_response_header(response, "Link", buf_text(&link));
}

static struct http_response *respond(struct listing *listing)
{
	struct http_response *response;

	if (!listing->lines) {
		json_close_array(&listing->w);
		json_put_bool(&listing->w, "more", listing->more);
		json_close_object(&listing->w);
		return api_json(200, &listing->body);
	}
	response = http_response_buf(200, &listing->body);
	http_response_header(response, "Content-Type", LINES_TYPE);
	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	return response;
}

static void open_list(struct listing *listing)
{
	if (listing->lines)
		return;
	listing->w = json_writer(&listing->body);
	json_open_object(&listing->w);
	json_key(&listing->w, STR("items"));
	json_open_array(&listing->w);
}

static bool ask_ledger(struct api_job *job, const struct ledger_audit_ask *ask, size_t max,
	ledger_audit_f *fn, void *arg, struct error *err)
{
	bool ok;

	if (!large_write_settle(job->leader, err))
		return false;
	leader_lock(job->leader);
	ok = ledger_list_audit(job->leader->ledger, ask, max, fn, arg, err);
	leader_unlock(job->leader);
	return ok;
}

static bool is_filtered(const struct ledger_audit_ask *ask)
{
	return ask->since_ms || ask->until_ms || ask->user || ask->kind || ask->id;
}

static bool on_end(void *arg, const struct ledger_audit *row)
{
	*(uint64_t *)arg = row->number;
	return false;
}

/* The numbers of the first and of the last row that may be looked at; 0: there is none. */
static bool find_ends(struct api_job *job, const struct ledger_audit_ask *ask, uint64_t *ret_low,
	uint64_t *ret_high, struct error *err)
{
	struct ledger_audit_ask end = { .after = ask->after, .before = ask->before, .oldest_first = true };

	*ret_low = *ret_high = 0;
	if (!ask_ledger(job, &end, 1, on_end, ret_low, err))
		return false;
	end.oldest_first = false;
	return ask_ledger(job, &end, 1, on_end, ret_high, err);
}

/* Where most rows may be passed over they are looked at a few at a time, so that nobody waits for the lock for long. */
static bool list_filtered(
	struct api_job *job, const struct asked *asked, struct listing *listing, struct error *err)
{
	struct ledger_audit_ask ask = asked->ask;
	uint64_t low, high;

	if (!find_ends(job, &ask, &low, &high, err))
		return false;
	while (low && low <= high && !listing->more) {
		uint64_t len = high - low < WINDOW ? high - low + 1 : WINDOW;

		ask.after = ask.oldest_first ? low - 1 : high - len;
		ask.before = ask.after + len + 1;
		if (!ask_ledger(job, &ask, asked->n + 1, on_row, listing, err))
			return false;
		if (ask.oldest_first)
			low += len;
		else
			high -= len;
	}
	return true;
}

static struct http_response *list(struct api_job *job, const struct asked *asked)
{
	const char *accept = http_headers_find(job->http->headers, "Accept");
	struct listing listing = {
		.body = buf_limit(BODY_MAX), .lines = accept && strstr(accept, LINES_TYPE), .n = asked->n
	};
	struct http_response *response;
	struct error err;
	bool ok;

	open_list(&listing);
	ok = is_filtered(&asked->ask) ? list_filtered(job, asked, &listing, &err)
				      : ask_ledger(job, &asked->ask, asked->n + 1, on_row, &listing, &err);
	if (!ok) {
		buf_fini(&listing.body);
		return api_error_of(&err);
	}
	response = respond(&listing);
	if (listing.more)
		put_link(response, asked, listing.last);
	return response;
}

const struct route_about about_audit[] = {
	{ .method = HTTP_GET,
		.summary = "What was changed, by whom and from where.",
		.query = true,
		.gives = "Audit" },
	{ 0 },
};

struct http_response *audit_serve(void *arg)
{
	struct api_job *job = arg;
	__attribute__((cleanup(asked_fini))) struct asked asked = { 0 };
	struct error err;

	if (!read_parameters(job, &asked))
		return api_bad_query();
	return understand(&asked, &err) ? list(job, &asked) : api_error_of(&err);
}
