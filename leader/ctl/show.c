/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ctl/show.h"

#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "leader/ctl/ctl.h"

#define VALUE_MAX (512u * 1024)
#define TIME_LEN  (sizeof("2026-11-20T12:34:56Z") - 1)

static bool is_texts(const struct json *array)
{
	for (size_t i = 0; i < json_len(array); i++)
		if (json_kind(json_at(array, i)) != JSON_STRING)
			return false;
	return true;
}

static void put_texts(const struct json *array, struct buf *into)
{
	for (size_t i = 0; i < json_len(array); i++)
		buf_format(into, "%s%.*s", i ? ", " : "", STR_ARGS(json_str(json_at(array, i))));
}

void show_value(const struct json *value, struct buf *into)
{
	struct json_writer w = json_writer(into);
	enum json_kind kind = json_kind(value);
	bool yes = false;

	if (kind == JSON_NONE || kind == JSON_NULL ||
		((kind == JSON_ARRAY || kind == JSON_OBJECT) && !json_len(value)))
		buf_puts(into, "-");
	else if (kind == JSON_STRING)
		buf_add(into, json_str(value).len ? json_str(value) : STR("-"));
	else if (json_get_bool(value, &yes))
		buf_puts(into, yes ? "yes" : "no");
	else if (kind == JSON_ARRAY && is_texts(value))
		put_texts(value, into);
	else
		json_value_node(&w, value);
}

/* "2026-11-20T12:34:56...Z" */
static bool is_time(struct str text)
{
	return text.len >= TIME_LEN && text.at[4] == '-' && text.at[10] == 'T' && str_ends(text, "Z");
}

void show_put(struct grid *grid, const struct json *value)
{
	AUTO_FINI(buf) text = buf_limit(VALUE_MAX);

	show_value(value, &text);
	grid_put(grid, buf_str(&text));
}

static bool is_skipped(struct str key, const char *const *skip)
{
	for (; skip && *skip; skip++)
		if (str_is(key, *skip))
			return true;
	return false;
}

bool show_is_over(const struct json *value)
{
	char now[CLOCK_RFC3339_SIZE];
	struct str time = json_str(value);

	clock_rfc3339(clock_wall_ms(), now);
	return is_time(time) && memcmp(time.at, now, TIME_LEN - 1) < 0;
}

static void put_member(struct grid *grid, struct str key, const struct json *value)
{
	AUTO_FINI(buf) text = buf_limit(VALUE_MAX);

	show_value(value, &text);
	if (str_is(key, "validUntil") && show_is_over(value))
		buf_puts(&text, " (over)");
	grid_put(grid, key);
	grid_put(grid, buf_str(&text));
}

void show_object(const struct json *object, const char *const *skip)
{
	static const char *const heads[] = { "MEMBER", "VALUE", NULL };
	AUTO(grid) *grid = grid_new(heads);
	const struct json *value;
	struct str key;

	for (void *it = NULL; json_next(object, &it, &key, &value);)
		if (!is_skipped(key, skip))
			put_member(grid, key, value);
	grid_print(grid, stdout);
}

void show_bytes(struct str body)
{
	(void)fwrite(body.at, 1, body.len, stdout);
	if (body.len && body.at[body.len - 1] != '\n')
		(void)fputc('\n', stdout);
}

bool show_parse(const struct http_result *result, struct json_doc **ret_doc)
{
	struct error err;

	if (json_parse_own(buf_str(&result->body), ret_doc, &err))
		return true;
	ctl_say("the answer: %s", err.text);
	return false;
}

int show_answer(const struct command_call *call, const struct http_result *result, show_f *show)
{
	AUTO(json_doc) *doc = NULL;

	if (command_option(call, "--json")) {
		show_bytes(buf_str(&result->body));
		return CTL_DONE;
	}
	if (!show_parse(result, &doc))
		return CTL_FAILED;
	show(json_root(doc));
	return CTL_DONE;
}
