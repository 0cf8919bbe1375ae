/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client - HTTP/1.1 to peers, leaders and S3 over pooled connections (libcurl's one home).
 *
 * Two ways in, one description (`struct http_call_spec`):
 *
 *   http_call_start()   on a loop, never blocks; bodies stream both ways through bounded pipes
 *   http_send()         on a pool thread, blocks until the answer is there, body into a buf.
 *                       Connections are kept for each thread.
 *
 * Deadlines: connecting, then progress (no byte either way for stall_ms). Never the total, but
 * for `total_ms` where a caller asks for one (long poll). No redirects are followed, no proxy
 * variable is honoured, no Accept-Encoding is sent unless among the headers, and nothing is decoded.
 *
 * What went wrong is told apart: ERROR_UNAVAILABLE = not connected or nothing of the request was
 * processed for certain (a retry elsewhere is safe for any method); ERROR_TIMEOUT = no progress;
 * ERROR_INTERNAL = cut in the middle, the other side may have acted.
 *
 * Thread  own loop, which is checked, but for http_send(), http_send_many(), and what is once a process.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/http.h"

struct loop;
struct pipe;
struct http_client;
struct http_call;
struct http_channel;

struct http_client_settings {
	unsigned max_idle;      /* connections kept; 0 = 64 */
};
bool http_client_new(struct http_client **ret_client, struct loop *loop, const struct http_client_settings *settings,
		     struct error *err) MUST_CHECK;
void http_client_free(struct http_client *client); /* cancels what is left, without callbacks */

/* Everything is borrowed: for http_call_start() until it returns (but pipe and fd: until on_done),
 * for http_send() until it returns. */
struct http_call_spec {
	const char *method;                 /* "GET", ... */
	const char *url;
	const struct http_headers *headers; /* may be NULL; Host among them replaces the URL's */
	/* The request's body: none, bytes, a part of a file, or a pipe (http_call_start only). */
	struct str body;
	int body_fd;                        /* used when body_fd_len > 0; read with pread */
	uint64_t body_fd_offset, body_fd_len;
	struct pipe *body_pipe;             /* takes the reader's reference */
	int64_t body_pipe_len;              /* -1: unknown, chunked */
	bool has_body;                      /* an empty body still sends Content-Length: 0 */
	/* TLS towards https URLs. */
	const char *ca_file;                /* NULL: the system's */
	const char *cert_file, *key_file;   /* client certificate, NULL: none */
	bool insecure;
	const char *proxy;                  /* http://host:port; NULL: none, whatever variables say */
	struct http_channel *channel;       /* over this one, which takes it (http_channel.h): bytes are its body, or none. NULL: over a connection of the pool */
	bool fresh;                         /* over a connection of its own, so that it is not sent again behind our back when a kept one is dead */
	/* Deadlines, 0 = default. */
	unsigned connect_ms;                /* 3 s */
	unsigned stall_ms;                  /* 30 s */
	unsigned total_ms;                  /* none */
};

struct http_call_events {
	void *arg;
	/* Status and headers are there. Here the callee chooses where the body goes: http_call_into(),
	 * http_call_take(), http_call_collect(), or none of them: then it is dropped. */
	void (*on_head)(void *arg, struct http_call *call);
	/* The end, once; err NULL = whole answer received. The call is freed after this returns.
	 * A pipe given by http_call_into() is finished or failed just before. */
	void (*on_done)(void *arg, struct http_call *call, const struct error *err);
};
/* Starts; on failure on_done comes later, from the loop. */
struct http_call *http_call_start(struct http_client *client, const struct http_call_spec *spec, struct http_call_events events);
/* No callback after this. Pipes are failed. */
void http_call_cancel(struct http_call *call);

unsigned    http_call_status(const struct http_call *call);
const struct http_headers *http_call_headers(const struct http_call *call);
int64_t     http_call_length(const struct http_call *call); /* Content-Length of the answer, -1 unknown */
void        http_call_into(struct http_call *call, struct pipe *pipe); /* takes the writer's reference; capacity >= 32 KiB. Where its reader splices (pipe.h),
										      * large bodies of plain HTTP do not pass through memory */
/* Each piece goes to take() as it comes, in curl's own memory. False: it wants no more, on_done tells that error. Not over a channel. */
typedef bool http_take_f(void *arg, struct str piece, struct error *err);
void        http_call_take(struct http_call *call, http_take_f *take, void *arg);
void        http_call_collect(struct http_call *call, size_t max);     /* over max: on_done with ERROR_TOO_LARGE */
struct str  http_call_body(const struct http_call *call);              /* collected; in on_done */
void        http_call_give_body(struct http_call *call, struct buf *into); /* the same, without a copy: it is the caller's; into is empty */

/* Blocking. body's limit bounds the answer. */
struct http_result {
	unsigned status; /* also of an answer that was cut behind its head; 0: no head came */
	struct http_headers *headers; /* owned */
	struct buf body;
};
void http_result_init(struct http_result *result, size_t body_max);
void http_result_fini(struct http_result *result);
bool http_send(const struct http_call_spec *spec, struct http_result *result, struct error *err) MUST_CHECK;
/* All of them, at most `parallel` at a time; results[i] is filled where ok[i]. True when all were
 * answered (whatever the status). */
bool http_send_many(const struct http_call_spec *specs, size_t n, unsigned parallel, struct http_result *results, bool *ok,
		    struct error *err) MUST_CHECK;

/* Once a process, before threads start and after they ended. */
void http_client_init(void);
void http_client_fini(void);
const char *http_client_library(void); /* the version of libcurl. Thread  any */
