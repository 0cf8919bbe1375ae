/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/events/event_sink.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "common/url.h"
#include "proto/limits.h"
#include "worker/events/nats.h"
#include "worker/registry/registry.h"

#define BODY_MAX    ((size_t)16 * 1024 * 1024)
#define ANSWER_MAX  ((size_t)4 * 1024)
#define STORE_TRIES 5u /* then the event goes without its manifest */
#define CONNECT_MS  10000u
#define SLOT_MAGIC  MAGIC('E', 'S', 'L', 'T')

enum slot_state { SLOT_IDLE, SLOT_READING, SLOT_SENDING, SLOT_WAITING };

struct slot {
	uint32_t magic;
	struct event_sink *sink;
	enum slot_state state;
	struct event_place place;
	size_t event;     /* of the change, that is next */
	unsigned tries;   /* of this event that failed */
	unsigned reads;   /* of those, for the store's sake */
	bool bare;        /* without its manifest */
	int64_t retry_ms; /* that the receiver asked for; 0: nothing */
	struct loop_timer timer;
	struct http_call *call;
	struct reading *read; /* what is being sent */
};

struct event_sink {
	struct event_sink_run run;
	struct nats *nats; /* NULL: HTTP */
	struct slot slots[EVENT_SLOTS];
	unsigned jobs; /* of the pool, under way */
	bool stopping;
	bool down;       /* nothing was taken since the last failure */
	int64_t said_ms; /* of what was dropped; 0: never */
	uint64_t unsaid;
	counter sent, failed;
};

/* What a slot is about to send, made on the pool. */
enum read_outcome { READ_DONE, READ_GONE, READ_NEVER, READ_LATER };
struct reading {
	struct slot *slot;
	struct event_place place;
	size_t event;
	bool bare, store_failed;
	enum read_outcome outcome;
	struct error err;
	size_t events; /* of the change */
	struct http_headers *headers;
	struct buf body;
};

static void begin(struct slot *slot);

/* ---- reading, on the pool ---- */

static const struct event_sink_settings *settings_of(const struct event_sink *sink)
{
	return sink->run.settings;
}

static struct str place_of(const struct event_sink *sink)
{
	return url_origin(str_of(settings_of(sink)->address));
}

static bool any_tag(const struct index *index, const struct event_record *record)
{
	for (size_t i = 0; i < record->tags_len; i++)
		if (index_find_tag(index, record->tags[i]))
			return true;
	return false;
}

/* Was it made? What the repository shows now says it. Of a push the manifest alone is looked for: its tag may have been moved since. */
static bool was_made(const struct index *index, const struct event_record *record)
{
	struct digest digest;
	bool listed =
		index && digest_parse(record->digest, &digest, NULL) && index_find_digest(index, &digest);

	if (record->kind == EVENT_DELETE)
		return !index || (record->by_digest ? !listed : !any_tag(index, record));
	return listed;
}

static bool look_whether_made(
	const struct reading *r, const struct event_record *record, bool *ret, struct error *err)
{
	struct registry *registry = r->slot->sink->run.common->registry;
	AUTO(index) *index = NULL;

	struct error why;

	if (!registry_index(registry, record->name, &index, &why) && why.kind != ERROR_UNKNOWN) {
		*err = why;
		return error_add(err, "was the change made");
	}
	*ret = was_made(index, record);
	return true;
}

/* STR_NONE: it is not there any more. */
static bool read_manifest(
	struct reading *r, const struct event_record *record, struct buf *into, struct error *err)
{
	struct registry *registry = r->slot->sink->run.common->registry;
	struct digest digest;

	if (r->bare || record->kind == EVENT_DELETE || !digest_parse(record->digest, &digest, NULL))
		return true;
	if (record->kind == EVENT_LINT) {
		buf_add(into, record->manifest);
		return true;
	}
	if (registry_manifest_read(registry, record->name, &digest, into, err))
		return true;
	buf_clear(into);
	r->store_failed = err->kind != ERROR_UNKNOWN;
	return !r->store_failed;
}

static bool add_login(const struct event_sink_settings *s, struct http_headers *headers)
{
	AUTO_FINI(buf) login = buf_limit(16384), value = buf_limit(32768);

	if (s->user) {
		buf_format(&login, "%s:%s", s->user, s->password ? s->password : "");
		http_basic(buf_str(&login), &value);
	} else if (s->token) {
		buf_format(&value, "Bearer %s", s->token);
	} else {
		return true;
	}
	return !value.failed && http_headers_add(headers, STR("Authorization"), buf_str(&value));
}

static bool add_headers(const struct event_sink_settings *s, struct http_headers *headers)
{
	for (size_t i = 0; i < s->headers_len; i++)
		if (!http_headers_add(headers, str_of(s->headers[i][0]), str_of(s->headers[i][1])))
			return false;
	return add_login(s, headers);
}

static bool add_nats_headers(const struct event *event, struct http_headers *headers)
{
	return http_headers_add(headers, STR("Content-Type"), STR("application/cloudevents+json")) &&
	       http_headers_add(headers, STR("Nats-Msg-Id"), str_of(event->id));
}

static bool write_event(
	struct reading *r, const struct event_record *record, struct str manifest, struct error *err)
{
	const struct event_sink *sink = r->slot->sink;
	const struct event_sink_settings *s = settings_of(sink);
	const struct event_terms terms = { sink->run.common->source, sink->run.common->type_prefix,
		s->type == EVENT_SINK_HTTP ? s->channel : NULL };
	AUTO_FINI(buf) data = buf_limit(BODY_MAX);
	struct event event;
	bool ok;

	event_record_event(record, r->event, &event);
	event_text_data(record, &event, manifest, &data);
	r->headers = http_headers_new();
	buf_clear(&r->body);
	if (s->type == EVENT_SINK_NATS) {
		event_text_structured(&terms, record, &event, buf_str(&data), &r->body);
		ok = add_nats_headers(&event, r->headers);
	} else {
		buf_add(&r->body, buf_str(&data));
		ok = event_text_headers(&terms, record, &event, r->headers) && add_headers(s, r->headers);
	}
	if (!ok)
		return error_set(err, ERROR_INVALID, NULL, "a text of the event may not stand in a header");
	return (!data.failed && !r->body.failed) ||
	       error_set(err, ERROR_TOO_LARGE, NULL, "the event is larger than %zu bytes", BODY_MAX);
}

static bool make_event(struct reading *r, const struct event_record *record, struct error *err)
{
	AUTO_FINI(buf) manifest = buf_limit(REGISTRY_MANIFEST_MAX);

	if (!read_manifest(r, record, &manifest, err))
		return error_add(err, "the manifest");
	if (write_event(r, record, buf_str(&manifest), err))
		return true;
	if (err->kind != ERROR_TOO_LARGE || r->bare)
		return false;
	http_headers_free(TAKE(r->headers));
	return write_event(r, record, STR_NONE, err);
}

static enum read_outcome do_read(struct reading *r, const struct event_record *record)
{
	struct event_queue *queue = r->slot->sink->run.queue;
	bool made = true;

	r->events = event_record_events(record);
	if (r->place.doubt) {
		if (!look_whether_made(r, record, &made, &r->err))
			return READ_LATER;
		event_queue_settle(queue, r->place.seq, made ? EVENT_MADE : EVENT_NOT_MADE);
	}
	if (!made || r->event >= r->events)
		return READ_GONE;
	if (make_event(r, record, &r->err))
		return READ_DONE;
	return r->store_failed ? READ_LATER : READ_NEVER;
}

static void run_read(void *arg)
{
	struct reading *r = arg;
	struct event_sink *sink = r->slot->sink;
	AUTO_FINI(buf) bytes = buf_limit(EVENT_RECORD_MAX);
	struct event_reading reading = { .doc = NULL };

	r->events = 1;
	if (!event_queue_read(sink->run.queue, r->place.seq, &bytes, &r->err)) {
		r->outcome = r->err.kind == ERROR_UNKNOWN ? READ_GONE : READ_NEVER;
	} else if (!event_record_read(buf_str(&bytes), &reading, &r->err)) {
		r->outcome = READ_NEVER;
	} else {
		r->outcome = do_read(r, &reading.record);
		event_reading_fini(&reading);
	}
}

static void reading_free(struct reading *r)
{
	if (!r)
		return;
	http_headers_free(r->headers);
	buf_fini(&r->body);
	free(r);
}

/* ---- how it went ---- */

static void say_down(struct event_sink *sink, const char *why)
{
	counter_add(&sink->failed, 1);
	if (!sink->down)
		log_warn("events.sink", "sink=%s address=%s error=%s trying again until it takes them",
			settings_of(sink)->name, log_quote(place_of(sink)), log_quote(str_of(why)));
	sink->down = true;
}

static void say_up(struct event_sink *sink)
{
	counter_add(&sink->sent, 1);
	if (sink->down)
		log_info("events.sink", "sink=%s address=%s it takes events again", settings_of(sink)->name,
			log_quote(place_of(sink)));
	sink->down = false;
}

static void say_dropped(struct event_sink *sink, uint64_t seq, const char *why)
{
	int64_t now = clock_ms();

	sink->unsaid++;
	if (sink->said_ms && now - sink->said_ms < EVENT_SAY_MS)
		return;
	log_warn("events.dropped",
		"sink=%s address=%s events=%" PRIu64 " seq=%" PRIu64 " error=%s it will never take them",
		settings_of(sink)->name, log_quote(place_of(sink)), sink->unsaid, seq,
		log_quote(str_of(why)));
	sink->said_ms = now;
	sink->unsaid = 0;
}

static void go_idle(struct slot *slot)
{
	slot->state = SLOT_IDLE;
	slot->event = 0;
	slot->tries = slot->reads = 0;
	slot->bare = false;
}

/* The next event of the change, or the next change. */
static void go_on(struct slot *slot, size_t events)
{
	struct event_sink *sink = slot->sink;

	slot->tries = slot->reads = 0;
	slot->bare = false;
	if (++slot->event < events) {
		begin(slot);
		return;
	}
	event_queue_done(sink->run.queue, sink->run.at, slot->place.seq);
	go_idle(slot);
	event_sink_wake(sink);
}

static void on_waited(void *arg)
{
	begin(OBJ_CAST(slot, SLOT_MAGIC, arg));
}

static void try_again(struct slot *slot, const char *why)
{
	struct event_sink *sink = slot->sink;
	unsigned shift = slot->tries < 16 ? slot->tries : 16;
	int64_t most = (int64_t)EVENT_WAIT_LEAST_MS << shift;

	say_down(sink, why);
	slot->tries++;
	slot->state = SLOT_WAITING;
	if (most > EVENT_WAIT_MOST_MS)
		most = EVENT_WAIT_MOST_MS;
	if (slot->retry_ms > most)
		most = slot->retry_ms + 1;
	else
		most = most / 2 + (int64_t)random_below((uint64_t)most / 2 + 1);
	slot->retry_ms = 0;
	/* From now, and not from when this turn of the loop began: no sooner than it was asked for. */
	most += clock_ms() - loop_now(sink->run.loop);
	loop_timer_start(sink->run.loop, &slot->timer, most, on_waited, slot);
}

static void drop(struct slot *slot, size_t events, const char *why)
{
	struct event_sink *sink = slot->sink;

	counter_add(&sink->failed, 1);
	say_dropped(sink, slot->place.seq, why);
	event_queue_count_dropped(sink->run.queue, sink->run.at, 1);
	go_on(slot, events);
}

static void end(struct slot *slot, const struct error *err, bool never)
{
	struct reading *r = TAKE(slot->read);
	size_t events = r->events;

	reading_free(r);
	if (!err) {
		say_up(slot->sink);
		go_on(slot, events);
	} else if (never) {
		drop(slot, events, err->text);
	} else {
		try_again(slot, err->text);
	}
}

/* ---- HTTP ---- */

static bool is_again(unsigned status)
{
	return status == 408 || status == 429 || status >= 500;
}

/* Seconds, or a date. */
static int64_t retry_after_ms(const char *text)
{
	uint64_t seconds = 0;
	int64_t at;

	if (!text)
		return 0;
	if (!str_to_number(str_of(text), EVENT_RETRY_AFTER_S, &seconds)) {
		if (!http_date_parse(str_of(text), &at))
			return str_of(text).len && text[0] >= '0' && text[0] <= '9'
				       ? EVENT_RETRY_AFTER_S * 1000
				       : 0;
		at -= clock_wall_s();
		seconds = at < 0 ? 0 : at > EVENT_RETRY_AFTER_S ? EVENT_RETRY_AFTER_S : (uint64_t)at;
	}
	return (int64_t)seconds * 1000;
}

static void on_head(void *arg, struct http_call *call)
{
	(void)arg;
	http_call_collect(call, ANSWER_MAX);
}

/* A long answer says no more than its status. */
static void on_answered(void *arg, struct http_call *call, const struct error *err)
{
	struct slot *slot = OBJ_CAST(slot, SLOT_MAGIC, arg);
	unsigned status = http_call_status(call);
	struct error why;

	slot->call = NULL;
	if (err && err->kind != ERROR_TOO_LARGE) {
		end(slot, err, false);
		return;
	}
	if (status >= 200 && status < 300) {
		end(slot, NULL, false);
		return;
	}
	slot->retry_ms = is_again(status)
				 ? retry_after_ms(http_headers_find(http_call_headers(call), "Retry-After"))
				 : 0;
	(void)error_set(&why, ERROR_INTERNAL, NULL, "it answered %u %s", status, http_status_text(status));
	end(slot, &why, !is_again(status));
}

static void post(struct slot *slot)
{
	const struct event_sink_settings *s = settings_of(slot->sink);
	const struct http_call_spec spec = { .method = "POST",
		.url = s->address,
		.headers = slot->read->headers,
		.body = buf_str(&slot->read->body),
		.has_body = true,
		.ca_file = s->ca_file,
		.cert_file = s->cert_file,
		.key_file = s->key_file,
		.proxy = s->proxy,
		.connect_ms = s->timeout_ms < CONNECT_MS ? s->timeout_ms : CONNECT_MS,
		.stall_ms = s->timeout_ms,
		.total_ms = s->timeout_ms };

	slot->call = http_call_start(slot->sink->run.client, &spec,
		(struct http_call_events){ .arg = slot, .on_head = on_head, .on_done = on_answered });
}

/* ---- NATS ---- */

static void on_published(void *arg, const struct error *err)
{
	struct slot *slot = OBJ_CAST(slot, SLOT_MAGIC, arg);
	bool too_large = err && err->kind == ERROR_TOO_LARGE;

	if (too_large && !slot->bare) {
		reading_free(TAKE(slot->read));
		slot->bare = true;
		begin(slot);
		return;
	}
	end(slot, err, too_large || (err && err->kind == ERROR_DENIED));
}

static void publish(struct slot *slot)
{
	const struct nats_message message = { .subject = settings_of(slot->sink)->channel,
		.headers = slot->read->headers,
		.payload = buf_str(&slot->read->body) };

	nats_publish(slot->sink->nats, &message, on_published, slot);
}

/* ---- a slot's way ---- */

static void take_read(struct slot *slot, struct reading *r)
{
	slot->place.doubt = false;
	switch (r->outcome) {
	case READ_DONE:
		slot->read = r;
		slot->state = SLOT_SENDING;
		if (slot->sink->nats)
			publish(slot);
		else
			post(slot);
		return;
	case READ_LATER:
		slot->place.doubt = r->place.doubt && !r->store_failed;
		slot->reads += r->store_failed;
		slot->bare = slot->reads >= STORE_TRIES;
		try_again(slot, r->err.text);
		break;
	case READ_NEVER:
		drop(slot, r->events, r->err.text);
		break;
	case READ_GONE: /* the queue has nothing of it any more */
		go_on(slot, 0);
		break;
	}
	reading_free(r);
}

static void on_read(void *arg)
{
	struct reading *r = arg;
	struct slot *slot = OBJ_CAST(slot, SLOT_MAGIC, r->slot);

	slot->sink->jobs--;
	if (slot->sink->stopping)
		reading_free(r);
	else
		take_read(slot, r);
}

static void begin(struct slot *slot)
{
	struct event_sink *sink = slot->sink;
	struct reading *r = xnew(struct reading);

	r->slot = slot;
	r->place = slot->place;
	r->event = slot->event;
	r->bare = slot->bare;
	r->body = buf_limit(BODY_MAX);
	slot->state = SLOT_READING;
	if (pool_submit_then(sink->run.common->pool, run_read, sink->run.loop, on_read, r)) {
		sink->jobs++;
		return;
	}
	reading_free(r);
	try_again(slot, "this worker is overloaded");
}

void event_sink_wake(struct event_sink *sink)
{
	uint32_t busy[EVENT_SLOTS];

	loop_assert(sink->run.loop);
	for (size_t i = 0; i < EVENT_SLOTS && !sink->stopping; i++) {
		struct slot *slot = &sink->slots[i];
		size_t len = 0;

		if (slot->state != SLOT_IDLE)
			continue;
		for (size_t j = 0; j < EVENT_SLOTS; j++)
			if (sink->slots[j].state != SLOT_IDLE)
				busy[len++] = sink->slots[j].place.order;
		if (!event_queue_next(sink->run.queue, sink->run.at, busy, len, &slot->place))
			return;
		begin(slot);
	}
}

/* ---- life ---- */

static bool open_nats(struct event_sink *sink, struct error *err)
{
	const struct event_sink_settings *s = settings_of(sink);
	const struct nats_settings settings = { .address = s->address,
		.user = s->user,
		.password = s->password,
		.token = s->token,
		.credentials_file = s->credentials_file,
		.ca_file = s->ca_file,
		.cert_file = s->cert_file,
		.key_file = s->key_file,
		.timeout_ms = s->timeout_ms,
		.loop = sink->run.loop,
		.pool = sink->run.common->pool };

	return s->type != EVENT_SINK_NATS || nats_new(&sink->nats, &settings, err);
}

bool event_sink_new(struct event_sink **ret, const struct event_sink_run *run, struct error *err)
{
	AUTO(event_sink) *sink = xnew(struct event_sink);

	sink->run = *run;
	for (size_t i = 0; i < EVENT_SLOTS; i++) {
		sink->slots[i].magic = SLOT_MAGIC;
		sink->slots[i].sink = sink;
	}
	if (!open_nats(sink, err))
		return error_add(err, "extensions.events.sinks[%zu]", run->at);
	*ret = TAKE(sink);
	return true;
}

void event_sink_stop(struct event_sink *sink)
{
	sink->stopping = true;
	for (size_t i = 0; i < EVENT_SLOTS; i++) {
		struct slot *slot = &sink->slots[i];

		loop_timer_stop(sink->run.loop, &slot->timer);
		if (slot->call)
			http_call_cancel(TAKE(slot->call));
		reading_free(TAKE(slot->read));
	}
	if (sink->nats)
		nats_stop(sink->nats);
}

bool event_sink_is_still(const struct event_sink *sink)
{
	return !sink->jobs && (!sink->nats || nats_is_still(sink->nats));
}

void event_sink_free(struct event_sink *sink)
{
	if (!sink)
		return;
	nats_free(sink->nats);
	for (size_t i = 0; i < EVENT_SLOTS; i++)
		sink->slots[i].magic = 0;
	free(sink);
}

struct event_sink_stats event_sink_stats(const struct event_sink *sink)
{
	return (struct event_sink_stats){ .sent = counter_get(&sink->sent),
		.failed = counter_get(&sink->failed) };
}
