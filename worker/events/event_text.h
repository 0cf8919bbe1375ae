/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_text - an event as a receiver gets it: CloudEvents 1.0, with the types and the data of zot's events.
 *
 *   binary       the attributes are headers ("ce-" before their names, over HTTP and in the headers of NATS alike), the body is the data
 *   structured   one JSON object has both (application/cloudevents+json)
 *
 * data, JSON: name; of an image also reference, digest, mediaType, and of one that was pushed manifest, its text, where it is still there. actor {name} and
 * request {addr, method, useragent} where they are known.
 *
 * Source  CloudEvents 1.0.2, its HTTP binding 3.1 (which characters of a value are escaped) and JSON format 3.
 * Thread  any; pure.
 */
#pragma once

#include "common/http.h"
#include "worker/events/event_record.h"

#define EVENT_SOURCE      "zotregistry.dev"
#define EVENT_TYPE_PREFIX "zotregistry"

/* What the settings say of all events, and of those of a sink. Borrowed. */
struct event_terms {
	const char *source, *type_prefix; /* NULL: as above */
	const char *channel;              /* an extension attribute; NULL: none */
};

/* manifest: its text, or STR_NONE. Over the limit of `into` it is failed. */
void event_text_data(const struct event_record *record, const struct event *event, struct str manifest, struct buf *into);
/* False: a text may not be in a header. */
bool event_text_headers(const struct event_terms *terms, const struct event_record *record, const struct event *event,
			struct http_headers *into) MUST_CHECK;
/* data: what event_text_data() has made. */
void event_text_structured(const struct event_terms *terms, const struct event_record *record, const struct event *event,
			   struct str data, struct buf *into);
