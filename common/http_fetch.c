/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http_fetch.h"

#include "common/file.h"
#include "common/loop.h"
#include "common/pipe.h"

#define PIPE_BYTES (256 * 1024)
#define PIECE      (64 * 1024)

struct fetch {
	struct loop *loop;
	struct pipe *pipe; /* NULL: no 200 came yet */
	const struct http_fetch_into *into;
	struct http_fetched *fetched;
	struct error *err;
	bool done, drained, failed;
};

void http_fetched_fini(struct http_fetched *fetched)
{
	buf_fini(&fetched->why);
}

static void end_if_due(struct fetch *fetch)
{
	if (fetch->failed || (fetch->done && (fetch->drained || !fetch->pipe)))
		loop_stop(fetch->loop);
}

static void on_bytes(void *arg)
{
	struct fetch *fetch = arg;
	enum pipe_step step = PIPE_OK;
	char piece[PIECE];
	size_t len;

	loop_assert(fetch->loop);
	while (!fetch->failed && (step = pipe_read(fetch->pipe, piece, sizeof(piece), &len)) == PIPE_OK)
		fetch->failed = !fetch->into->take(fetch->into->arg, str_from(piece, len), fetch->err);
	fetch->drained |= step == PIPE_END;
	/* A pipe that failed is a call that did: on_done comes, and knows why. */
	end_if_due(fetch);
}

static void on_head(void *arg, struct http_call *call)
{
	struct fetch *fetch = arg;

	loop_assert(fetch->loop);
	fetch->fetched->status = http_call_status(call);
	if (fetch->fetched->status != 200) {
		http_call_collect(call, HTTP_FETCH_WHY_MAX);
		return;
	}
	fetch->pipe = pipe_new(fetch->loop, PIPE_BYTES);
	pipe_on_bytes(fetch->pipe, on_bytes, fetch);
	http_call_into(call, fetch->pipe);
	/* Told "again" it wakes us from now on. */
	on_bytes(fetch);
}

static void on_done(void *arg, struct http_call *call, const struct error *err)
{
	struct fetch *fetch = arg;

	loop_assert(fetch->loop);
	fetch->done = true;
	if (fetch->failed)
		return;
	if (err) {
		*fetch->err = *err;
		fetch->failed = true;
	} else if (fetch->fetched->status != 200) {
		buf_add(&fetch->fetched->why, http_call_body(call));
	}
	end_if_due(fetch);
}

bool http_fetch(const struct http_call_spec *spec, const struct http_fetch_into *into,
	struct http_fetched *ret, struct error *err)
{
	const struct http_client_settings settings = { 0 };
	struct fetch fetch = { .into = into, .fetched = ret, .err = err };
	struct http_client *client;

	*ret = (struct http_fetched){ .why = buf_limit(HTTP_FETCH_WHY_MAX) };
	if (!loop_new(&fetch.loop, "fetch", err))
		return false;
	if (!http_client_new(&client, fetch.loop, &settings, err)) {
		loop_free(fetch.loop);
		return false;
	}
	(void)http_call_start(client, spec,
		(struct http_call_events){ .arg = &fetch, .on_head = on_head, .on_done = on_done });
	loop_run(fetch.loop);
	http_client_free(client);
	if (fetch.pipe)
		pipe_unref_reader(fetch.pipe);
	loop_free(fetch.loop);
	return !fetch.failed;
}

bool http_fetch_take_file(void *arg, struct str piece, struct error *err)
{
	return file_write_all(*(const int *)arg, piece.at, piece.len, err);
}

bool http_fetch_file(const struct http_call_spec *spec, int fd, struct http_fetched *ret, struct error *err)
{
	const struct http_fetch_into into = { .take = http_fetch_take_file, .arg = &fd };

	return http_fetch(spec, &into, ret, err);
}
