/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/events/events.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crc32c.h"
#include "common/crypto.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/events/event_sink.h"
#include "worker/registry/registry.h"

#define STILL_EVERY_MS 20

struct events {
	struct events_settings settings;
	struct event_queue *queue;
	struct loop *loop;
	struct http_client *client;
	struct event_sink *sinks[EVENT_SINKS_MAX];
	pthread_t thread;
	bool runs;
	atomic_bool woken;
	struct loop_timer still; /* while it stops */
};

/* ---- who sends ---- */

static void do_wake(void *arg)
{
	struct events *events = arg;

	atomic_store(&events->woken, false);
	for (size_t i = 0; i < events->settings.sinks_len; i++)
		event_sink_wake(events->sinks[i]);
}

static void on_more(void *arg)
{
	struct events *events = arg;

	if (!atomic_exchange(&events->woken, true))
		loop_post(events->loop, do_wake, events);
}

static void *run_loop(void *arg)
{
	struct events *events = arg;

	(void)pthread_setname_np(pthread_self(), "events");
	loop_run(events->loop);
	return NULL;
}

void events_start(struct events *events)
{
	events->runs = true;
	CHECK(pthread_create(&events->thread, NULL, run_loop, events) == 0);
	on_more(events);
}

static void await_still(void *arg)
{
	struct events *events = arg;

	for (size_t i = 0; i < events->settings.sinks_len; i++)
		if (!event_sink_is_still(events->sinks[i])) {
			loop_timer_start(events->loop, &events->still, STILL_EVERY_MS, await_still, events);
			return;
		}
	loop_stop(events->loop);
}

static void do_stop(void *arg)
{
	struct events *events = arg;

	for (size_t i = 0; i < events->settings.sinks_len; i++)
		event_sink_stop(events->sinks[i]);
	await_still(events);
}

void events_stop(struct events *events)
{
	if (!events || !events->runs)
		return;
	loop_post(events->loop, do_stop, events);
	CHECK(pthread_join(events->thread, NULL) == 0);
	events->runs = false;
}

/* ---- who changes ---- */

static struct str text_of(const char *text)
{
	return text ? str_of(text) : STR_NONE;
}

static void add_asker(struct event_record *record, const struct index_asker *asker)
{
	if (!asker)
		return;
	record->actor = text_of(asker->user);
	record->address = text_of(asker->address);
	record->method = text_of(asker->method);
	record->agent = text_of(asker->agent);
}

static uint64_t put(struct events *events, const struct event_record *record)
{
	AUTO_FINI(buf) bytes = buf_limit(EVENT_RECORD_MAX);

	event_record_write(record, &bytes);
	if (!bytes.failed)
		return event_queue_put(events->queue, buf_str(&bytes),
			crc32c_add(0, record->name.at, record->name.len),
			(uint32_t)event_record_events(record));
	log_warn("events.large",
		"repository=%s the change is too large for the queue of events, nobody is told of it",
		log_quote(record->name));
	return 0;
}

static void put_change(struct events *events, const struct index_following *what)
{
	const struct index_change *change = what->change;
	const struct index_told *told = what->told;
	size_t len = told->tags_len < EVENT_TAGS_MAX ? told->tags_len : EVENT_TAGS_MAX;
	struct str *tags = xnew_array(struct str, len + 1);
	char digest[DIGEST_TEXT_SIZE];
	struct event_record record = { .kind = change->op == INDEX_PUT_MANIFEST ? EVENT_PUT : EVENT_DELETE,
		.at_ms = clock_wall_ms(),
		.name = str_of(change->name),
		.media_type = str_of(told->media_type),
		.made = told->made,
		.tags = tags,
		.tags_len = len };

	if (len < told->tags_len)
		log_warn("events.large",
			"repository=%s tags=%zu told=%zu one change has more tags than are told",
			log_quote(record.name), told->tags_len, len);
	memcpy(record.id, change->id.raw, sizeof(record.id));
	digest_format(&told->digest, digest);
	record.digest = str_of(digest);
	record.by_digest = change->op == INDEX_DELETE_DIGEST || !len;
	for (size_t i = 0; i < len; i++)
		tags[i] = str_of(told->tags[i]);
	add_asker(&record, change->asker);
	*what->mark = put(events, &record);
	free(tags);
}

/* On the committer's thread. */
static void on_change(void *arg, enum index_outcome outcome, const struct index_following *what)
{
	struct events *events = arg;
	uint64_t seq = *what->mark;

	switch (outcome) {
	case INDEX_ABOUT:
		if (seq)
			event_queue_settle(events->queue, seq, EVENT_NOT_MADE);
		put_change(events, what);
		break;
	case INDEX_MADE:
		event_queue_settle(events->queue, seq, EVENT_MADE);
		event_queue_await(events->queue, seq);
		break;
	case INDEX_NOT_MADE:
		event_queue_settle(events->queue, seq, EVENT_NOT_MADE);
		break;
	case INDEX_IN_DOUBT:
		event_queue_settle(events->queue, seq, EVENT_DOUBT);
		break;
	}
}

/* Nothing was changed, and nobody was told that anything was: the disk is not waited for. */
static void on_refused(void *arg, const struct registry_push *push, const char *media_type)
{
	struct events *events = arg;
	size_t len = push->tags_len < EVENT_TAGS_MAX ? push->tags_len : EVENT_TAGS_MAX;
	struct str *tags = xnew_array(struct str, len + 1);
	char digest[DIGEST_TEXT_SIZE];
	struct event_record record = { .kind = EVENT_LINT,
		.at_ms = clock_wall_ms(),
		.name = str_of(push->name),
		.media_type = str_of(media_type),
		.by_digest = !len,
		.tags = tags,
		.tags_len = len,
		.manifest = push->bytes };

	random_bytes(record.id, sizeof(record.id));
	digest_format(&push->stored, digest);
	record.digest = str_of(digest);
	for (size_t i = 0; i < len; i++)
		tags[i] = str_of(push->tags[i]);
	add_asker(&record, push->asker);
	event_queue_settle(events->queue, put(events, &record), EVENT_MADE);
	free(tags);
}

/* ---- life ---- */

static bool open_queue(struct events *events, struct error *err)
{
	struct event_queue_settings settings = { .folder = events->settings.folder,
		.bytes_max = events->settings.bytes_max,
		.sinks_len = events->settings.sinks_len,
		.on_more = on_more,
		.arg = events };

	for (size_t i = 0; i < settings.sinks_len; i++)
		settings.sinks[i] = events->settings.sinks[i].id;
	return event_queue_open(&events->queue, &settings, err);
}

static bool open_sinks(struct events *events, struct error *err)
{
	for (size_t i = 0; i < events->settings.sinks_len; i++) {
		const struct event_sink_run run = { .settings = &events->settings.sinks[i],
			.at = i,
			.common = &events->settings,
			.queue = events->queue,
			.loop = events->loop,
			.client = events->client };

		if (!event_sink_new(&events->sinks[i], &run, err))
			return false;
	}
	return true;
}

bool events_open(struct events **ret, const struct events_settings *settings, struct error *err)
{
	const struct http_client_settings client = { 0 };
	AUTO(events) *events = xnew(struct events);

	events->settings = *settings;
	if (!loop_new(&events->loop, "events", err) ||
		!http_client_new(&events->client, events->loop, &client, err) || !open_queue(events, err) ||
		!open_sinks(events, err))
		return false;
	registry_follow(settings->registry, on_change, events);
	settings->registry->refused_arg = events;
	settings->registry->refused = on_refused;
	*ret = TAKE(events);
	return true;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	CHECK(!events->runs);
	if (events->loop)
		(void)loop_drain(events->loop);
	for (size_t i = 0; i < EVENT_SINKS_MAX; i++)
		event_sink_free(events->sinks[i]);
	http_client_free(events->client);
	event_queue_free(events->queue);
	loop_free(events->loop);
	free(events);
}

/* ---- what is told of it ---- */

struct figure {
	const char *name, *type, *help;
	uint64_t (*of)(const struct event_queue_stats *queue, const struct event_sink_stats *sink, size_t at);
};

static uint64_t queued(const struct event_queue_stats *queue, const struct event_sink_stats *sink, size_t at)
{
	(void)sink;
	return queue->queued[at];
}

static uint64_t dropped(const struct event_queue_stats *queue, const struct event_sink_stats *sink, size_t at)
{
	(void)sink;
	return queue->dropped[at];
}

static uint64_t sent(const struct event_queue_stats *queue, const struct event_sink_stats *sink, size_t at)
{
	(void)queue;
	(void)at;
	return sink->sent;
}

static uint64_t failed(const struct event_queue_stats *queue, const struct event_sink_stats *sink, size_t at)
{
	(void)queue;
	(void)at;
	return sink->failed;
}

static const struct figure figures[] = {
	{ "zot_events_queued", "gauge", "Events that this sink has not taken yet.", queued },
	{ "zot_events_sent_total", "counter", "Events that this sink has taken.", sent },
	{ "zot_events_failed_total", "counter",
		"Tries to tell this sink of an event that it did not take, for whatever reason.", failed },
	{ "zot_events_dropped_total", "counter",
		"Events that this sink will never be told of: the queue was full, the disk took nothing, or "
		"it refused them for what they are.",
		dropped },
};

void events_metrics(struct events *events, struct buf *into)
{
	struct event_queue_stats stats;
	char label[64];

	if (!events)
		return;
	stats = event_queue_stats(events->queue);
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		for (size_t at = 0; at < events->settings.sinks_len; at++) {
			struct event_sink_stats sink = event_sink_stats(events->sinks[at]);

			(void)snprintf(label, sizeof(label), "sink=\"%s\"", events->settings.sinks[at].name);
			metrics_put(into, figures[i].name, figures[i].type, at ? NULL : figures[i].help,
				label, figures[i].of(&stats, &sink, at));
		}
	for (size_t at = 0; at < events->settings.sinks_len; at++) {
		int64_t age_ms = stats.oldest_ms[at] ? clock_ms() - stats.oldest_ms[at] : 0;

		(void)snprintf(label, sizeof(label), "sink=\"%s\"", events->settings.sinks[at].name);
		metrics_put_seconds(into, "zot_events_oldest_seconds", "gauge",
			at ? NULL
			   : "For how long the oldest event that this sink has not taken has waited, at "
			     "least since the start; 0: none waits.",
			label, (uint64_t)age_ms * 1000);
	}
	metrics_put(into, "zot_events_queue_bytes", "gauge", "Bytes of the queue of events on disk.", "",
		stats.bytes);
}
