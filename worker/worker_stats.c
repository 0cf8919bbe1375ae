/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker_stats.h"

#include <inttypes.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "worker/chores/chores.h"
#include "worker/chores/weigh_chore.h"
#include "worker/moves/moves.h"
#include "worker/storage/spool.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

static void add_loop(const struct front_loop *loop, struct usage_stats *into, struct histogram *latency)
{
	const struct front_counters *counters = &loop->counters;

	into->requests += counter_get(&counters->http_ended_total);
	into->bytes_in += counter_get(&counters->received_bytes_total);
	into->bytes_out += counter_get(&counters->sent_bytes_total);
	into->errors += counter_get(&counters->http_errors_total);
	into->proxied += counter_get(&counters->proxied_total);
	traffic_latency(&loop->traffic, latency);
}

static uint64_t since(int64_t now_ms, int64_t then_ms)
{
	return now_ms > then_ms ? (uint64_t)(now_ms - then_ms) : 0;
}

static void add_chore(const struct chore_stats *chore, int64_t now_ms, struct usage_stats *into)
{
	into->chore_failures += chore->failures;
	if (chore->failures &&
		(!into->chore_failed_ms || since(now_ms, chore->failed_ms) < into->chore_failed_ms))
		into->chore_failed_ms = since(now_ms, chore->failed_ms);
	if (chore->state != CHORE_RUNNING)
		return;
	into->chores++;
	if (into->chore[0] && since(now_ms, chore->began_ms) <= into->chore_ms)
		return;
	into->chore_ms = since(now_ms, chore->began_ms);
	CHECK(str_copy(str_of(chore->name), into->chore, sizeof(into->chore)));
}

static void add_chores(struct chores *chores, struct usage_stats *into)
{
	struct chore_stats rows[CHORES_MAX];
	size_t len = chores_stats(chores, rows);
	int64_t now_ms = clock_ms();

	for (size_t i = 0; i < len; i++)
		add_chore(&rows[i], now_ms, into);
}

static void add_storage(struct weigh_chore *weigh, struct usage_stats *into)
{
	struct weighed told = weigh_told(weigh);

	into->weighed = told.known;
	into->storage_bytes = told.bytes;
	into->storage_repositories = told.repositories;
	into->counted = told.known;
	into->storage_blobs = told.blobs;
	into->storage_manifests = told.manifests;
	into->storage_tags = told.tags;
}

static void add_moves(struct moves *moves, struct usage_stats *into)
{
	struct moves_stats told;

	if (!moves)
		return;
	told = moves_stats(moves);
	into->moves = told.known;
	into->moves_epoch = told.epoch;
	into->moves_held = told.held;
	into->moves_coming = told.coming;
}

void worker_stats(void *arg, struct usage_stats *into)
{
	const struct worker *worker = arg;
	const struct front *front = &worker->front;
	struct process_stats process = process_stats();
	struct histogram latency = { 0 };

	*into = (struct usage_stats){ .open_requests = front_open_requests(front),
		.rss = process.rss,
		.cpu_ms = process.cpu_ms,
		.uptime_ms = (uint64_t)(clock_ms() - front->started_ms),
		.s3_requests = store_requests(worker->store),
		.spool_bytes = spool_used(worker->spool),
		.uploads = uploads_stats(front->registry->uploads).open,
		.uploads_rest = !uploads_are_moving(front->registry->uploads, clock_ms() - UPLOAD_REST_MS) };
	for (unsigned i = 0; i < front->loops_len; i++)
		add_loop(&front->loops[i], into, &latency);
	add_chores(front->chores, into);
	add_storage(front->weigh, into);
	add_moves(front->moves, into);
	into->p50_us = histogram_quantile(&latency, 0.5);
	into->p99_us = histogram_quantile(&latency, 0.99);
}

void worker_order(void *arg, const struct usage_order *order)
{
	const struct worker *worker = arg;
	const struct chore_order what = { .id = order->id, .stop = order->stop, .dry_run = order->dry_run };
	struct error err;

	if (!chores_ask(worker->front.chores, str_of(order->chore), &what, &err))
		log_info("chore.refused", "chore=%s order=%" PRIu64 " why=%s",
			log_quote(str_of(order->chore)), order->id, log_quote(str_of(err.text)));
}

size_t worker_chores(void *arg, struct usage_chore into[USAGE_CHORES_MAX])
{
	const struct worker *worker = arg;

	return chores_rows(worker->front.chores, into);
}
