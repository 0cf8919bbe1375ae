/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/counts_queue.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

void counts_queue_init(struct counts_queue *queue, const char *name, const char *process)
{
	*queue = (struct counts_queue){ .name = name, .process = process };
	usage_batch_init(&queue->pending, 1);
}

static void item_free(struct counts_item *item)
{
	usage_report_fini(&item->report);
	free(item);
}

void counts_queue_fini(struct counts_queue *queue)
{
	for (size_t i = 0; i < queue->len; i++)
		item_free(queue->items[i]);
	free(queue->items);
	usage_batch_fini(&queue->pending);
}

void counts_queue_add(struct counts_queue *queue, struct usage_report *report)
{
	if (queue->len == queue->room) {
		size_t room = queue->room ? queue->room * 2 : 16;
		struct counts_item **wider = xnew_array(struct counts_item *, room);

		if (queue->len)
			memcpy(wider, queue->items, queue->len * sizeof(*wider));
		free(queue->items);
		queue->items = wider;
		queue->room = room;
	}
	queue->items[queue->len] = xnew(struct counts_item);
	queue->items[queue->len++]->report = *report;
	*report = (struct usage_report){ 0 };
}

static bool next_chunk(
	struct counts_queue *queue, struct usage_batch_at *at, uint64_t *after, struct usage_report *chunk)
{
	*chunk = (struct usage_report){ 0 };
	if (!usage_batch_chunk(&queue->pending, at, chunk))
		return false;
	chunk->worker = check_strdup(queue->name);
	chunk->process = check_strdup(queue->process);
	chunk->boot = check_strdup(queue->process);
	chunk->after = *after;
	chunk->seq = *after = ++queue->seq;
	return true;
}

void counts_queue_freeze(struct counts_queue *queue)
{
	struct usage_batch_at at = { 0 };
	struct usage_report chunk;

	while (next_chunk(queue, &at, &queue->after, &chunk))
		counts_queue_add(queue, &chunk);
	usage_batch_clear(&queue->pending);
}

bool counts_queue_is_empty(const struct counts_queue *queue)
{
	return !queue->len && usage_batch_is_empty(&queue->pending);
}

bool counts_queue_has_own(const struct counts_queue *queue)
{
	return queue->len && !strcmp(queue->items[queue->len - 1]->report.boot, queue->process);
}

/* Those before it of the same boot wait: so does it. That one's wait is the same, as postponing goes by
 * boots. */
const struct usage_report *counts_queue_next(
	const struct counts_queue *queue, int64_t now_ms, int64_t *ret_wait_ms)
{
	*ret_wait_ms = INT64_MAX;
	for (size_t i = 0; i < queue->len; i++) {
		int64_t wait = queue->items[i]->not_before_ms - now_ms;

		if (wait <= 0)
			return &queue->items[i]->report;
		if (wait < *ret_wait_ms)
			*ret_wait_ms = wait;
	}
	return NULL;
}

static size_t place_of(const struct counts_queue *queue, const struct usage_report *report)
{
	size_t at = 0;

	while (at < queue->len && &queue->items[at]->report != report)
		at++;
	CHECK(at < queue->len);
	return at;
}

void counts_queue_drop(struct counts_queue *queue, const struct usage_report *report)
{
	size_t at = place_of(queue, report);

	item_free(queue->items[at]);
	memmove(queue->items + at, queue->items + at + 1,
		(queue->len - at - 1) * sizeof(struct counts_item *));
	queue->len--;
}

void counts_queue_postpone(struct counts_queue *queue, const struct usage_report *report, int64_t until_ms)
{
	for (size_t i = 0; i < queue->len; i++)
		if (!strcmp(queue->items[i]->report.boot, report->boot))
			queue->items[i]->not_before_ms = until_ms;
}

/* A line that has no room leaves the text as it was. */
static bool put_line(struct buf *into, const struct usage_report *report)
{
	AUTO_FINI(buf) line = buf_limit(USAGE_BYTES_MAX);

	usage_report_encode(report, &line);
	buf_putc(&line, '\n');
	if (line.failed || into->len + line.len > into->max)
		return false;
	buf_add(into, buf_str(&line));
	return true;
}

static bool pending_lines(struct counts_queue *queue, struct buf *into)
{
	struct usage_batch_at at = { 0 };
	uint64_t after = queue->after;
	struct usage_report chunk;
	bool all = true;

	while (next_chunk(queue, &at, &after, &chunk)) {
		all &= put_line(into, &chunk);
		usage_report_fini(&chunk);
	}
	return all;
}

bool counts_queue_lines(struct counts_queue *queue, struct buf *into)
{
	bool all = true;

	buf_clear(into);
	for (size_t i = 0; i < queue->len; i++) {
		all &= put_line(into, &queue->items[i]->report);
		queue->items[i]->writing = true;
	}
	return pending_lines(queue, into) && all;
}

void counts_queue_was_written(struct counts_queue *queue)
{
	for (size_t i = 0; i < queue->len; i++)
		queue->items[i]->written |= queue->items[i]->writing;
}

bool counts_queue_is_written(const struct counts_queue *queue, const struct usage_report *report)
{
	return queue->items[place_of(queue, report)]->written;
}
