/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export - GET /api/export: all that administrators may write, as lines of JSON that POST /api/import takes (api/import.h).
 *
 *     {"export":1,"cluster":"<32 hex digits>","generation":1,"revision":42,"version":"0.2.0","entities":3}
 *     {"kind":"user","id":"ann","revision":7,"passwordHash":"$2b$...",...}
 *
 * Of one revision, in the order of kinds and ids. Hashes of passwords and secrets are in it, so that it can be imported; the ring is not,
 * whose keys are made by leaders.
 * Written a piece at a time, as fast as the client reads, so its memory does not grow with the state.
 *
 * Thread  own loop.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/log.h"
#include "common/pipe.h"
#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "leader/api/import.h"
#include "leader/api/told.h"

#define PIPE_BYTES  (256 * 1024)
#define PIECE_BYTES (32 * 1024)
#define PIECE_MAX   (PIECE_BYTES + 8 * (size_t)ENTITY_BYTES_MAX)

struct exporting {
	struct state *state;
	struct pipe *pipe;
	unsigned kind;
	size_t place;
	struct buf piece;
	size_t sent; /* of the piece */
};

static void exporting_free(struct exporting *exporting)
{
	pipe_unref_writer(exporting->pipe);
	state_free(exporting->state);
	buf_fini(&exporting->piece);
	free(exporting);
}

static size_t count(const struct state *state)
{
	size_t len = 0;

	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		len += import_takes((enum entity_kind)kind) ? state_count(state, (enum entity_kind)kind) : 0;
	return len;
}

static void put_head(struct exporting *exporting)
{
	const struct state *state = exporting->state;
	struct json_writer w = json_writer(&exporting->piece);

	json_open_object(&w);
	json_put_int(&w, "export", IMPORT_FORMAT);
	json_put_text(&w, "cluster", state_history(state)->cluster);
	json_put_uint(&w, "generation", state_history(state)->generation);
	json_put_uint(&w, "revision", state_revision(state));
	json_put_text(&w, "version", ZOT_VERSION);
	json_put_uint(&w, "entities", count(state));
	json_close_object(&w);
	buf_putc(&exporting->piece, '\n');
}

static struct entity *next(struct exporting *exporting)
{
	struct entity *entity = NULL;

	for (; !entity && exporting->kind < ENTITY_KINDS; exporting->kind++, exporting->place = 0) {
		if (import_takes((enum entity_kind)exporting->kind))
			entity = state_at(
				exporting->state, (enum entity_kind)exporting->kind, exporting->place++);
		if (entity)
			return entity;
	}
	return entity;
}

/* False: there is no more. */
static bool fill(struct exporting *exporting)
{
	struct entity *entity = NULL;

	while (exporting->piece.len < PIECE_BYTES && (entity = next(exporting))) {
		struct json_writer w = json_writer(&exporting->piece);

		entity_to_json_whole(entity, &w);
		buf_putc(&exporting->piece, '\n');
	}
	return exporting->piece.len > 0;
}

static enum pipe_step send_piece(struct exporting *exporting)
{
	enum pipe_step step = PIPE_OK;
	size_t taken;

	while (exporting->sent < exporting->piece.len && step == PIPE_OK) {
		step = pipe_write(exporting->pipe, exporting->piece.at + exporting->sent,
			exporting->piece.len - exporting->sent, &taken);
		exporting->sent += taken;
	}
	if (step == PIPE_OK) {
		buf_clear(&exporting->piece);
		exporting->sent = 0;
	}
	return step;
}

static void end(struct exporting *exporting, bool whole)
{
	struct error err;

	if (whole && !exporting->piece.failed) {
		pipe_finish(exporting->pipe);
	} else {
		(void)error_set(&err, ERROR_INTERNAL, NULL, "the export was cut");
		pipe_fail(exporting->pipe, &err);
	}
	exporting_free(exporting);
}

static void on_room(void *arg)
{
	struct exporting *exporting = arg;
	enum pipe_step step = PIPE_OK;
	bool more = true;

	while (step == PIPE_OK && more) {
		step = send_piece(exporting);
		more = step != PIPE_OK || fill(exporting);
	}
	if (step != PIPE_AGAIN)
		end(exporting, step == PIPE_OK);
}

const struct route_about about_export[] = {
	{ .method = HTTP_GET,
		.summary = "All entities as lines, with the hashes of secrets.",
		.gives = "Lines",
		.gives_type = "application/x-ndjson" },
	{ 0 },
};

void export_serve(void *arg)
{
	struct api_call *call = arg;
	struct exporting *exporting = xnew(struct exporting);
	struct http_response *response;

	*exporting = (struct exporting){ .state = leader_state(call->leader),
		.pipe = pipe_new(call->leader->loop, PIPE_BYTES),
		.piece = buf_limit(PIECE_MAX) };
	pipe_on_room(exporting->pipe, on_room, exporting);
	response = http_response_pipe(200, exporting->pipe, -1);
	http_response_header(response, "Content-Type", "application/x-ndjson");
	http_response_headerf(response, "Zot-State-Revision", "%" PRIu64, state_revision(exporting->state));
	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	told_exported(call, state_revision(exporting->state));
	http_request_reply(call->request, response);
	put_head(exporting);
	on_room(exporting);
}
