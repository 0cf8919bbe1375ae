/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client_priv - what the files of http_client share; nobody else includes it.
 *
 *   http_transfer.c   one exchange on one curl handle: the request's body, the answer's head,
 *                     what went wrong
 *   http_client.c     exchanges on a loop
 *   http_channel.c    many of them over one connection, without curl but for connecting
 *   http_splice.c     answers whose bytes go past us in the kernel
 *   http_send.c       exchanges on the calling thread
 */
#pragma once

#include <curl/curl.h>

#include "common/http_channel.h"
#include "common/http_client.h"
#include "common/http_frame.h"
#include "common/list.h"
#include "common/loop.h"

/* The most that curl hands to a write callback at once is 16 KiB, whatever this is. */
#define HTTP_RECEIVE_BUFFER 131072L
#define HTTP_SEND_BUFFER    131072L

struct http_transfer {
	CURL *easy;
	struct curl_slist *lines; /* of the request */
	char reason[CURL_ERROR_SIZE];

	/* The request's body. */
	struct str body;
	int fd;
	uint64_t fd_offset;
	struct pipe *pipe;
	int64_t body_len; /* -1 unknown */
	uint64_t sent;
	bool has_body, read_paused, write_paused;
	bool again; /* curl has begun the body anew: it was sent before */

	/* The answer. */
	struct http_headers *headers;
	unsigned status;
	bool head_done;
	int64_t length;
	uint64_t got; /* of its body */

	int64_t moved_ms; /* when a byte went either way */
	unsigned stall_ms;
	bool failed; /* err says why, whatever curl says */
	struct error err;

	/* The owner's part. on_body returns how much it took, or CURL_WRITEFUNC_PAUSE, or 0 with failed set.
	 */
	void *owner;
	int64_t (*now_ms)(void *owner);
	void (*on_head)(void *owner);
	size_t (*on_body)(void *owner, const char *bytes, size_t len);
};

/* Fills the handle from the spec; body bytes stay borrowed. */
bool http_transfer_setup(
	struct http_transfer *transfer, const struct http_call_spec *spec, struct error *err) MUST_CHECK;
/* Frees what setup made, but not the handle. */
void http_transfer_fini(struct http_transfer *transfer);
/* True: answered. */
bool http_transfer_result(struct http_transfer *transfer, CURLcode code, struct error *err) MUST_CHECK;
/* The next of `multi` that curl is done with: its owner and curl's result; false when there is none now. */
bool http_transfer_next_over(CURLM *multi, void **ret_owner, CURLcode *ret_code) MUST_CHECK;
/* ms until it counts as stalled, 0 = it does. Pauses and connecting are not stalling. */
int64_t http_transfer_stalls_in(struct http_transfer *transfer);

/* A call on a loop: over curl, or over a channel. */

#define HTTP_CALL_MAGIC MAGIC('C', 'A', 'L', 'L')

/* Connected: the socket, now the callee's; or -1 and why not. */
typedef void http_dialled_f(void *arg, int fd, const struct error *err);

/* Of a call over a channel. */
struct http_channel_call {
	struct http_frame_call by_id;
	struct http_channel *channel; /* NULL: none, or it is lost */
	struct list blocked;          /* it has more to send than there is room for in the channel's buffer */
	uint64_t begins_at;           /* in what the channel has written: of its first byte */
	size_t sent, window;          /* of the message in call->body; how much more may be sent */
	size_t message_len;
	struct buf head, held;        /* of the answer: what is there of its head; what the sink did not take */
	size_t untold;                /* used, and no ROOM has told of it */
	uint64_t got;                 /* of its body */
	bool last, bodyless;
	int64_t due_ms;               /* 0: never */
};

/* Of a call whose answer goes past us. */
struct http_splice {
	struct http_call *next; /* in client->splicing */
	bool asked;             /* it is there */
	bool begun;             /* curl is out of it, and the socket is ours: */
	int fd;
	uint64_t left;
};

struct http_call {
	uint32_t magic;
	struct http_client *client;
	struct http_call *prev, *next; /* in client->calls */
	struct http_call *next_starting, *next_dead;
	struct http_call_events events;
	struct http_transfer transfer;
	struct loop_timer stall;
	char *body; /* our copy of the request's; over a channel of the whole message, where it did not leave at once */
	struct pipe *into;
	http_take_f *take; /* or NULL */
	void *take_arg;
	struct buf collected;
	bool collects, queued, added, cancelled, ending;
	bool timed;           /* it has a deadline for all of it, which curl looks after */
	curl_socket_t socket; /* that curl reads from */
	struct http_splice splice;
	bool over_channel;
	struct http_channel_call over;
	http_dialled_f *dialled; /* it only connects */
};

#define HTTP_SPARE_MAX 64U

struct http_client {
	struct loop *loop;
	CURLM *multi;
	int64_t due_ms; /* curl's timer, -1 none */
	struct http_call *calls, *starting, **starting_last, *dead;
	unsigned depth; /* curl or a channel on the stack */
	CURL *spare[HTTP_SPARE_MAX];
	unsigned spare_len;
	struct list channels, dirty; /* all of them; those that have something to do in the next run of the stage */
	size_t held;                 /* bytes of requests, of all channels */
	struct buf message;          /* a request that is being written */
	struct http_call *splicing;     /* of which curl may be taken out as soon as it is not on the stack */
	unsigned splices;
	uint64_t spliced;            /* bytes, since the start */
};

/* http_client.c */
void http_client_enter(struct http_client *client);
void http_client_leave(struct http_client *client); /* cancelled calls are freed when nobody is left */
/* Connects to the URL's authority; arg is events.arg of the call. */
struct http_call *http_client_dial(struct http_client *client, const char *url, unsigned connect_ms, http_dialled_f *dialled, void *arg);
/* Bytes of the answer's body: how many were taken, CURL_WRITEFUNC_PAUSE, or 0 with transfer.failed set. */
size_t http_call_take_body(struct http_call *call, const char *bytes, size_t len);
void http_call_over(struct http_call *call, bool done, const struct error *err); /* on_done, then it is freed */

/* http_splice.c */
void http_splice_ask(struct http_call *call);     /* some of its body was written to the pipe */
void http_splice_begin_all(struct http_client *client);
void http_splice_go_on(struct http_call *call);   /* its pipe has room */
void http_splice_end(struct http_call *call);     /* it is about to be freed */

/* http_channel.c */
void http_channel_begin_call(struct http_call *call, const struct http_call_spec *spec);
void http_channel_resume_call(struct http_call *call); /* its pipe has room */
void http_channel_forget_call(struct http_call *call); /* it is about to be freed */
bool http_channel_has_work(const struct http_client *client);
void http_channel_run_all(struct http_client *client);
void http_channel_close_all(struct http_client *client);
