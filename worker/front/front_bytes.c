/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/front_bytes.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/http_server.h"
#include "common/loop.h"
#include "worker/auth/auth.h"
#include "worker/cluster/usage_bytes.h"
#include "worker/front/front_call.h"

/* A wait, which may outlive the call. */
struct room {
	struct front_call *call; /* NULL: it is over */
	struct room **at;        /* where the call knows of it */
	void (*go_on)(struct http_request *request);
};

struct front_bytes {
	struct usage_bytes *usage;
	struct http_meter meter;
	struct admission_wait body_wait, reply_wait;
	struct room *body_room, *reply_room; /* what is waited for, or NULL */
	uint64_t body;                       /* taken for the request's body */
	bool refused;
};

static void on_room(void *arg)
{
	struct room *room = arg;
	struct front_call *call = room->call;

	if (call) {
		*room->at = NULL;
		room->go_on(call->oci.request);
	}
	free(room);
}

static struct room *room_new(
	struct front_call *call, struct room **at, void (*go_on)(struct http_request *request))
{
	struct room *room = xnew(struct room);

	*room = (struct room){ .call = call, .at = at, .go_on = go_on };
	return room;
}

/* True: they are taken. Else `room` waits for them, or the call was refused. */
static bool take(struct front_call *call, uint64_t more, struct admission_wait *wait, struct room *room)
{
	struct front_bytes *bytes = call->bytes;
	struct admission_ask ask = { .loop = call->oci.loop, .wait = wait, .resume = on_room, .arg = room };
	struct admission_info info;

	switch (usage_bytes_take(bytes->usage, more, &ask, &info)) {
	case ADMIT:
		free(room);
		*wait = (struct admission_wait){ 0 };
		return true;
	case WAIT:
		*room->at = room;
		return false;
	case REFUSE:
		break;
	}
	free(room);
	bytes->refused = true;
	http_request_reply_instead(call->oci.request, front_refusal(call, &info));
	return false;
}

/* The same bytes are asked for again where the sink did not take them. */
static size_t on_body(void *arg, size_t len)
{
	struct front_call *call = arg;
	struct front_bytes *bytes = call->bytes;
	uint64_t moved = http_request_bytes_in(call->oci.request);
	uint64_t ahead = bytes->body > moved ? bytes->body - moved : 0;

	if (ahead >= len)
		return len;
	if (bytes->body_room || bytes->refused)
		return (size_t)ahead;
	if (!take(call, len - ahead, &bytes->body_wait, room_new(call, &bytes->body_room, http_request_more)))
		return bytes->refused ? 0 : (size_t)ahead;
	bytes->body += len - ahead;
	return len;
}

/* Of a length that nobody knows (none of ours) it is counted afterwards. */
static bool on_reply(void *arg, uint64_t len)
{
	struct front_call *call = arg;
	struct front_bytes *bytes = call->bytes;

	return len == UINT64_MAX ||
	       take(call, len, &bytes->reply_wait, room_new(call, &bytes->reply_room, http_request_pass));
}

void front_bytes_begin(struct front_call *call, struct admission_ask *ask)
{
	struct front_bytes *bytes = call->bytes;
	int64_t length = http_request_length(call->oci.request);
	struct usage_bytes *usage = bytes ? bytes->usage
					  : usage_bytes_new(call->loop->front->usage, call->oci.loop,
						    ask->limits, ask->limits_len);

	if (!usage)
		return;
	if (!bytes) {
		bytes = call->bytes = xnew(struct front_bytes);
		bytes->usage = usage;
		bytes->meter = (struct http_meter){ call, on_body, on_reply };
		http_request_set_meter(call->oci.request, &bytes->meter);
		bytes->body = length > 0 ? (uint64_t)length : 0;
	}
	ask->bytes = usage;
	ask->body = bytes->body;
}

static void forget(struct room *room)
{
	if (room)
		room->call = NULL;
}

uint64_t front_bytes_end(struct front_call *call, uint64_t bytes_in, uint64_t *bytes_out)
{
	struct front_bytes *bytes = TAKE(call->bytes);
	uint64_t granted;

	if (!bytes)
		return 0;
	if (bytes->refused)
		*bytes_out = 0;
	forget(bytes->body_room);
	forget(bytes->reply_room);
	granted = usage_bytes_end(bytes->usage, bytes_in + *bytes_out);
	free(bytes);
	return granted;
}
