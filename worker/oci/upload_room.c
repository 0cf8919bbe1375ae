/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/upload_room.h"

#include "common/check.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_call.h"
#include "worker/oci/oci_denied.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/repository_limits.h"

#define ROOM_MAGIC MAGIC('U', 'P', 'R', 'M')

struct room {
	uint32_t magic;
	struct oci_call *call; /* NULL: the request has ended */
	struct registry *registry;
	struct snapshot *snapshot;
	struct name name;
	struct upload *upload;
	upload_room_f *then;
	struct registry_blob blob;
	struct digest digest;
	bool allowed;
	struct error err;
};

static const struct entity *limits_of(const struct oci_ask *ask)
{
	return snapshot_limits(ask->snapshot, name_str(&ask->route.name));
}

static void look(void *arg)
{
	struct room *room = OBJ_CAST(room, ROOM_MAGIC, arg);

	room->allowed = repository_limits_allow_blob(room->registry,
		snapshot_limits(room->snapshot, name_str(&room->name)), &room->blob, &room->err);
}

static void room_free(struct room *room)
{
	room->magic = 0;
	snapshot_free(room->snapshot);
	free(room);
}

static void refuse(const struct room *room, struct oci_call *call)
{
	if (room->upload)
		upload_end(room->upload);
	http_request_reply(call->request, oci_denied_limit(&call->ask, REGISTRY_LIMIT_BYTES, &room->err));
}

static void looked(void *arg)
{
	struct room *room = OBJ_CAST(room, ROOM_MAGIC, arg);
	struct oci_call *call = room->call;

	if (call) {
		loop_assert(call->loop);
		call->stream = NULL;
		call->stream_done = NULL;
	}
	if (!call && room->upload)
		upload_release(room->upload);
	else if (call && room->allowed)
		room->then(call, room->upload);
	else if (call)
		refuse(room, call);
	room_free(room);
}

static void on_request_done(void *arg)
{
	OBJ_CAST(room, ROOM_MAGIC, arg)->call = NULL;
}

static struct room *room_new(struct oci_call *call, struct upload *upload, const struct digest *digest,
	uint64_t bytes, upload_room_f *then)
{
	struct room *room = xnew(struct room);

	room->magic = ROOM_MAGIC;
	room->call = call;
	room->registry = call->ask.registry;
	room->snapshot = snapshot_ref(call->ask.snapshot);
	room->name = call->ask.route.name;
	room->upload = upload;
	room->then = then;
	room->blob = (struct registry_blob){ .name = name_str(&room->name), .bytes = bytes };
	if (digest) {
		room->digest = *digest;
		room->blob.digest = &room->digest;
	}
	return room;
}

static void reply_overloaded(struct oci_call *call, struct upload *upload)
{
	struct error err;

	if (upload)
		upload_release(upload);
	(void)error_set(&err, ERROR_BUSY, NULL, "this worker is overloaded");
	http_request_reply(call->request, oci_reply_error(&err));
}

void upload_room_ask(struct oci_call *call, struct upload *upload, const struct digest *digest,
	uint64_t bytes, upload_room_f *then)
{
	struct room *room;

	loop_assert(call->loop);
	if (!repository_limits_count_bytes(limits_of(&call->ask))) {
		then(call, upload);
		return;
	}
	room = room_new(call, upload, digest, bytes, then);
	call->stream = room;
	call->stream_done = on_request_done;
	if (pool_submit_then(room->registry->pool, look, call->loop, looked, room))
		return;
	call->stream = NULL;
	call->stream_done = NULL;
	room_free(room);
	reply_overloaded(call, upload);
}
