/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_record - one change of a repository as the queue keeps it, and the events that it is: the same ones, with the same ids, however often it is read.
 *
 *     push that makes the repository     repository.created
 *     push                               image.updated for each tag that is new or named another manifest; with none, one by the digest
 *     deletion                           image.deleted for each tag that is gone; of a digest, one for it behind those of its tags
 *     lint                               image.lint_failed
 *
 * Limits  EVENT_TAGS_MAX tags, EVENT_RECORD_MAX bytes; a User-Agent is cut at EVENT_AGENT_MAX. The manifest that lint refused is nowhere else, so it is in its record; one over
 *         EVENT_MANIFEST_MAX is left out, so that who is refused cannot fill the queue with them.
 * Errors  event_record_read(): ERROR_INVALID, it is not one that was written so.
 * Source  the types and members of zot's events; CloudEvents 1.0.2 for ids.
 * Thread  any; pure.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

#define EVENT_TAGS_MAX   4096
#define EVENT_AGENT_MAX  256
#define EVENT_MANIFEST_MAX 16384u
#define EVENT_RECORD_MAX ((size_t)1024 * 1024)
#define EVENT_ID_SIZE    37 /* a UUID and NUL */

enum event_kind { EVENT_PUT, EVENT_DELETE, EVENT_LINT };
struct event_record {
	enum event_kind kind;
	uint8_t id[16];  /* of the change */
	int64_t at_ms;   /* wall clock */
	struct str name, digest, media_type;
	bool made;       /* a push: there was no such repository before */
	bool by_digest;  /* one event names the digest */
	const struct str *tags;
	size_t tags_len;
	struct str actor, address, method, agent; /* empty: not known */
	struct str manifest; /* its text, of EVENT_LINT; empty: it is where the registry has it, or was left out */
};
void event_record_write(const struct event_record *record, struct buf *into); /* over a limit: `into` is failed */

/* What was read, and what its texts lie in: the bytes that were parsed must live as long. */
struct event_reading {
	struct event_record record;
	struct pack_doc *doc;
	struct str *tags;
};
bool event_record_read(struct str bytes, struct event_reading *ret, struct error *err) MUST_CHECK;
void event_reading_fini(struct event_reading *reading);

/* Its events, 0 to event_record_events() - 1, in the order in which they are told. */
enum event_type { EVENT_CREATED, EVENT_UPDATED, EVENT_DELETED, EVENT_LINT_FAILED };
struct event {
	enum event_type type;
	struct str reference; /* a tag or the digest; of EVENT_CREATED none */
	char id[EVENT_ID_SIZE];
};
size_t event_record_events(const struct event_record *record);
void   event_record_event(const struct event_record *record, size_t at, struct event *ret);
