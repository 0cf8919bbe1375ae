/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/events/event_text.h"

#include "common/clock.h"
#include "common/json.h"

#define VALUE_MAX 4096

static const char *const types[] = { [EVENT_CREATED] = "repository.created",
	[EVENT_UPDATED] = "image.updated",
	[EVENT_DELETED] = "image.deleted",
	[EVENT_LINT_FAILED] = "image.lint_failed" };

static void put_asker(const struct event_record *record, struct json_writer *w)
{
	if (record->actor.len) {
		json_key(w, STR("actor"));
		json_open_object(w);
		json_put_str(w, "name", record->actor);
		json_close_object(w);
	}
	if (!record->address.len && !record->method.len)
		return;
	json_key(w, STR("request"));
	json_open_object(w);
	json_put_str(w, "addr", record->address);
	json_put_str(w, "method", record->method);
	json_put_str(w, "useragent", record->agent);
	json_close_object(w);
}

void event_text_data(
	const struct event_record *record, const struct event *event, struct str manifest, struct buf *into)
{
	struct json_writer w = json_writer(into);

	json_open_object(&w);
	json_put_str(&w, "name", record->name);
	if (event->type != EVENT_CREATED) {
		json_put_str(&w, "reference", event->reference);
		json_put_str(&w, "digest", record->digest);
		json_put_str(&w, "mediaType", record->media_type);
		if (manifest.len && event->type != EVENT_DELETED)
			json_put_str(&w, "manifest", manifest);
	}
	put_asker(record, &w);
	json_close_object(&w);
}

/* ---- attributes ---- */

typedef bool put_f(void *arg, const char *name, struct str value);

static bool put_attributes(const struct event_terms *terms, const struct event_record *record,
	const struct event *event, put_f *put, void *arg)
{
	const char *prefix = terms->type_prefix ? terms->type_prefix : EVENT_TYPE_PREFIX;
	AUTO_FINI(buf) type = buf_limit(VALUE_MAX);
	char at[CLOCK_RFC3339_SIZE];

	clock_rfc3339(record->at_ms, at);
	buf_format(&type, "%s.%s", prefix, types[event->type]);
	return put(arg, "specversion", STR("1.0")) && put(arg, "id", str_of(event->id)) &&
	       put(arg, "source", str_of(terms->source ? terms->source : EVENT_SOURCE)) &&
	       put(arg, "type", buf_str(&type)) && put(arg, "time", str_of(at)) &&
	       (!terms->channel || put(arg, "channel", str_of(terms->channel)));
}

/* Blanks, quotes, percent signs and all that is not ASCII are escaped. */
static bool put_header(void *arg, const char *name, struct str value)
{
	AUTO_FINI(buf) text = buf_limit(3 * VALUE_MAX), field = buf_limit(64);

	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.at[i];

		if (c > 0x20 && c < 0x7f && c != '"' && c != '%')
			buf_putc(&text, (char)c);
		else
			buf_format(&text, "%%%02X", c);
	}
	buf_format(&field, "ce-%s", name);
	return !text.failed && http_headers_add(arg, buf_str(&field), buf_str(&text));
}

bool event_text_headers(const struct event_terms *terms, const struct event_record *record,
	const struct event *event, struct http_headers *into)
{
	return http_headers_add(into, STR("Content-Type"), STR("application/json")) &&
	       put_attributes(terms, record, event, put_header, into);
}

static bool put_member(void *arg, const char *name, struct str value)
{
	json_put_str(arg, name, value);
	return true;
}

void event_text_structured(const struct event_terms *terms, const struct event_record *record,
	const struct event *event, struct str data, struct buf *into)
{
	struct json_writer w = json_writer(into);

	json_open_object(&w);
	if (!put_attributes(terms, record, event, put_member, &w))
		into->failed = true;
	json_put_text(&w, "datacontenttype", "application/json");
	json_close_object(&w);
	if (into->failed || !into->len)
		return;
	into->len--; /* data is JSON already: it stands before the last brace */
	buf_puts(into, ",\"data\":");
	buf_add(into, data);
	buf_putc(into, '}');
}
