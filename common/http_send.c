/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_send - exchanges on the calling thread, one or many at a time.
 *
 * Each thread has a curl multi of its own, which keeps its connections; it is freed when the
 * thread ends.
 */
#include "common/http_client_priv.h"

#include <pthread.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"

#define WAIT_MOST_MS 1000

struct exchange {
	struct http_transfer transfer;
	struct http_result *result;
	bool *ok;
	struct exchange *next; /* under way */
};

struct batch {
	CURLM *multi;
	const struct http_call_spec *specs;
	struct http_result *results;
	bool *ok;
	size_t n, started;
	unsigned parallel, running;
	struct exchange *exchanges;
	bool failed;
	struct error err; /* of the first that failed */
};

static pthread_once_t multi_once = PTHREAD_ONCE_INIT;
static pthread_key_t multi_key;

static void free_multi(void *multi)
{
	(void)curl_multi_cleanup(multi);
}

static void make_key(void)
{
	CHECK(pthread_key_create(&multi_key, free_multi) == 0);
}

static CURLM *own_multi(void)
{
	CHECK(pthread_once(&multi_once, make_key) == 0);
	CURLM *multi = pthread_getspecific(multi_key);
	if (multi)
		return multi;
	multi = curl_multi_init();
	CHECK(multi);
	CHECK(curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 16L) == CURLM_OK);
	CHECK(pthread_setspecific(multi_key, multi) == 0);
	return multi;
}

void http_result_init(struct http_result *result, size_t body_max)
{
	*result = (struct http_result){ .body = buf_limit(body_max) };
}

void http_result_fini(struct http_result *result)
{
	http_headers_free(result->headers);
	buf_fini(&result->body);
	*result = (struct http_result){ 0 };
}

/* One exchange. */

static int64_t now_ms(void *owner)
{
	(void)owner;
	return clock_ms();
}

/* A result may be used again: what an earlier exchange left goes when a new head is there. */
static void on_head(void *owner)
{
	struct exchange *exchange = owner;
	buf_clear(&exchange->result->body);
}

static size_t on_body(void *owner, const char *bytes, size_t len)
{
	struct exchange *exchange = owner;
	struct buf *body = &exchange->result->body;
	buf_append(body, bytes, len);
	if (!body->failed)
		return len;
	exchange->transfer.failed = true;
	(void)error_set(
		&exchange->transfer.err, ERROR_TOO_LARGE, NULL, "the answer is over %zu bytes", body->max);
	return 0;
}

static void exchange_end(struct batch *batch, struct exchange *exchange, CURLcode code)
{
	struct http_transfer *transfer = &exchange->transfer;
	struct error err;
	*exchange->ok = http_transfer_result(transfer, code, &err);
	exchange->result->status = transfer->status;
	if (*exchange->ok) {
		http_headers_free(exchange->result->headers);
		exchange->result->headers = TAKE(transfer->headers);
	} else if (!batch->failed) {
		batch->failed = true;
		batch->err = err;
	}
	(void)curl_multi_remove_handle(batch->multi, transfer->easy);
	curl_easy_cleanup(transfer->easy);
	http_transfer_fini(transfer);
	struct exchange **at = &batch->exchanges;
	while (*at != exchange)
		at = &(*at)->next;
	*at = exchange->next;
	batch->running--;
	free(exchange);
}

static void exchange_start(struct batch *batch, size_t i)
{
	CHECK(!batch->specs[i].body_pipe); /* pipes belong to a loop */
	struct exchange *exchange = xnew(struct exchange);
	exchange->result = &batch->results[i];
	exchange->ok = &batch->ok[i];
	exchange->next = batch->exchanges;
	batch->exchanges = exchange;
	batch->running++;
	struct http_transfer *transfer = &exchange->transfer;
	transfer->easy = curl_easy_init();
	CHECK(transfer->easy);
	transfer->owner = exchange;
	transfer->now_ms = now_ms;
	transfer->on_head = on_head;
	transfer->on_body = on_body;
	transfer->failed = !http_transfer_setup(transfer, &batch->specs[i], &transfer->err);
	if (transfer->failed)
		exchange_end(batch, exchange, CURLE_FAILED_INIT);
	else
		CHECK(curl_multi_add_handle(batch->multi, transfer->easy) == CURLM_OK);
}

/* All of them. */

static void end_finished(struct batch *batch)
{
	CURLcode code;
	void *owner;
	while (http_transfer_next_over(batch->multi, &owner, &code))
		exchange_end(batch, owner, code);
}

/* Ends those that stall; gives how long to wait for the next one. */
static int end_stalled(struct batch *batch)
{
	int64_t wait = WAIT_MOST_MS;
	for (struct exchange *exchange = batch->exchanges, *next; exchange; exchange = next) {
		next = exchange->next;
		int64_t left = http_transfer_stalls_in(&exchange->transfer);
		if (left <= 0)
			exchange_end(batch, exchange, CURLE_OPERATION_TIMEDOUT);
		else if (left < wait)
			wait = left;
	}
	return (int)wait;
}

static void batch_run(struct batch *batch)
{
	while (batch->started < batch->n || batch->running > 0) {
		while (batch->started < batch->n && batch->running < batch->parallel)
			exchange_start(batch, batch->started++);
		int running = 0;
		CHECK(curl_multi_perform(batch->multi, &running) == CURLM_OK);
		end_finished(batch);
		int wait = end_stalled(batch);
		bool room = batch->started < batch->n && batch->running < batch->parallel;
		if (batch->running > 0 && !room)
			(void)curl_multi_poll(batch->multi, NULL, 0, wait, NULL);
	}
}

bool http_send_many(const struct http_call_spec *specs, size_t n, unsigned parallel,
	struct http_result *results, bool *ok, struct error *err)
{
	CHECK(parallel > 0);
	struct batch batch = { .multi = own_multi(),
		.specs = specs,
		.results = results,
		.ok = ok,
		.n = n,
		.parallel = parallel };
	batch_run(&batch);
	if (batch.failed && err)
		*err = batch.err;
	return !batch.failed;
}

bool http_send(const struct http_call_spec *spec, struct http_result *result, struct error *err)
{
	bool ok = false;
	return http_send_many(spec, 1, 1, result, &ok, err);
}
