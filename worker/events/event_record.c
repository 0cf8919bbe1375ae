/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/events/event_record.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "proto/pack.h"

#define FORMAT 1
#define FIELDS 15

void event_record_write(const struct event_record *record, struct buf *into)
{
	struct str agent = record->agent;

	if (agent.len > EVENT_AGENT_MAX)
		agent.len = EVENT_AGENT_MAX;
	if (record->tags_len > EVENT_TAGS_MAX) {
		into->failed = true;
		return;
	}
	pack_array(into, FIELDS);
	pack_uint(into, FORMAT);
	pack_uint(into, (uint64_t)record->kind);
	pack_bin(into, str_from(record->id, sizeof(record->id)));
	pack_int(into, record->at_ms);
	pack_str(into, record->name);
	pack_str(into, record->digest);
	pack_str(into, record->media_type);
	pack_bool(into, record->made);
	pack_bool(into, record->by_digest);
	pack_array(into, record->tags_len);
	for (size_t i = 0; i < record->tags_len; i++)
		pack_str(into, record->tags[i]);
	pack_str(into, record->actor);
	pack_str(into, record->address);
	pack_str(into, record->method);
	pack_str(into, agent);
	pack_str(into, record->manifest.len <= EVENT_MANIFEST_MAX ? record->manifest : STR_NONE);
}

static bool read_tags(const struct pack_node *node, struct event_reading *reading)
{
	size_t len = pack_len(node);

	if (!pack_is_array(node) || len > EVENT_TAGS_MAX)
		return false;
	reading->tags = xnew_array(struct str, len + 1);
	for (size_t i = 0; i < len; i++)
		if (!pack_get_str(pack_at(node, i), &reading->tags[i]))
			return false;
	reading->record.tags = reading->tags;
	reading->record.tags_len = len;
	return true;
}

static bool read_fields(const struct pack_node *root, struct event_reading *reading)
{
	struct event_record *record = &reading->record;
	uint64_t format, kind;
	struct str id;

	if (!pack_is_array(root) || pack_len(root) < FIELDS || !pack_get_uint(pack_at(root, 0), &format) ||
		format != FORMAT || !pack_get_uint(pack_at(root, 1), &kind) || kind > EVENT_LINT ||
		!pack_get_str(pack_at(root, 2), &id) || id.len != sizeof(record->id))
		return false;
	record->kind = (enum event_kind)kind;
	memcpy(record->id, id.at, id.len);
	return pack_get_int(pack_at(root, 3), &record->at_ms) &&
	       pack_get_str(pack_at(root, 4), &record->name) &&
	       pack_get_str(pack_at(root, 5), &record->digest) &&
	       pack_get_str(pack_at(root, 6), &record->media_type) &&
	       pack_get_bool(pack_at(root, 7), &record->made) &&
	       pack_get_bool(pack_at(root, 8), &record->by_digest) && read_tags(pack_at(root, 9), reading) &&
	       pack_get_str(pack_at(root, 10), &record->actor) &&
	       pack_get_str(pack_at(root, 11), &record->address) &&
	       pack_get_str(pack_at(root, 12), &record->method) &&
	       pack_get_str(pack_at(root, 13), &record->agent) &&
	       pack_get_str(pack_at(root, 14), &record->manifest) && event_record_events(record) > 0;
}

bool event_record_read(struct str bytes, struct event_reading *ret, struct error *err)
{
	struct event_reading reading = { .doc = NULL };

	if (pack_parse_within(bytes, EVENT_TAGS_MAX + 2 * FIELDS, &reading.doc, err) &&
		read_fields(pack_root(reading.doc), &reading)) {
		*ret = reading;
		return true;
	}
	event_reading_fini(&reading);
	return error_set(err, ERROR_INVALID, NULL, "it is no record of a change");
}

void event_reading_fini(struct event_reading *reading)
{
	pack_doc_free(reading->doc);
	free(reading->tags);
	*reading = (struct event_reading){ .doc = NULL };
}

/* ---- its events ---- */

size_t event_record_events(const struct event_record *record)
{
	return record->made + record->tags_len + record->by_digest;
}

/* A UUID of version 8 (RFC 9562): what is in it is ours, the SHA-256 of what makes the event what it is. */
static void name_event(const struct event_record *record, struct event *event)
{
	static const size_t parts[] = { 4, 2, 2, 2, 6 };
	AUTO_FINI(buf) text = buf_limit(1024);
	uint8_t hash[HASH_MAX];
	char *at = event->id;
	size_t from = 0;

	buf_append(&text, record->id, sizeof(record->id));
	buf_format(&text, "%d %.*s", (int)event->type, STR_ARGS(event->reference));
	hash_bytes(HASH_SHA256, buf_text(&text), text.len, hash);
	hash[6] = (uint8_t)((hash[6] & 0x0f) | 0x80);
	hash[8] = (uint8_t)((hash[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (i)
			*at++ = '-';
		str_hex(hash + from, parts[i], at);
		at += 2 * parts[i];
		from += parts[i];
	}
}

void event_record_event(const struct event_record *record, size_t at, struct event *ret)
{
	static const enum event_type types[] = {
		[EVENT_PUT] = EVENT_UPDATED, [EVENT_DELETE] = EVENT_DELETED, [EVENT_LINT] = EVENT_LINT_FAILED
	};

	CHECK(at < event_record_events(record));
	*ret = (struct event){ .type = types[record->kind], .reference = record->digest };
	if (record->made && !at)
		*ret = (struct event){ .type = EVENT_CREATED };
	else if (at - record->made < record->tags_len)
		ret->reference = record->tags[at - record->made];
	name_event(record, ret);
}
