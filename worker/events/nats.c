/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/events/nats.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"
#include "common/http_wire.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/events/nats_key.h"
#include "worker/events/nats_lines.h"

#define NATS_PORT     "4222"
#define ADDRESSES_MAX 8
#define FRAME_MAX     ((size_t)80 * 1024 * 1024)
#define READ_AT_ONCE  ((size_t)16 * 1024)

enum nats_state { NATS_AWAY, NATS_RESOLVING, NATS_GREETED_NOT, NATS_SHAKING, NATS_LOGGING_IN, NATS_OPEN };

struct message {
	char *subject;
	struct buf headers, payload;
	nats_done_f *done;
	void *arg;
	bool sent, denied;
};

struct address {
	struct sockaddr_storage at;
	socklen_t len;
};

/* A job of the pool, which outlives who asked for it. */
struct resolving {
	struct nats *nats;
	char host[256], port[6];
	struct address found[ADDRESSES_MAX];
	size_t len;
	struct error err;
};

struct nats {
	struct nats_settings settings;
	char host[256], port[6];
	bool tls_wanted;
	struct http_wire_tls *tls; /* made with it; NULL: nobody wants TLS yet */
	enum nats_state state;
	bool resolving, stopped;
	struct address addresses[ADDRESSES_MAX];
	size_t addresses_len, next; /* each try takes the next one */
	struct http_wire wire;
	struct loop_timer patience, soon;
	struct nats_info info;
	struct buf in, out;
	size_t out_at;
	char *block;                            /* for TLS */
	struct message *messages[NATS_PENDING]; /* in the order in which they are sent */
	size_t messages_len;
};

/* ---- addresses ---- */

bool nats_address(const char *address, char host[256], char port[6], bool *ret_tls)
{
	struct str rest = str_of(address), head, tail;
	uint64_t number;

	*ret_tls = str_skip(&rest, "tls://");
	if (!*ret_tls && !str_skip(&rest, "nats://"))
		return false;
	if (str_ends(rest, "/"))
		rest.len--;
	head = rest;
	tail = STR(NATS_PORT);
	if (!str_starts(rest, "[") || !str_ends(rest, "]"))
		(void)(str_split_last(rest, ':', &head, &tail) || (head = rest, tail = STR(NATS_PORT), true));
	if (str_starts(head, "[") && str_ends(head, "]"))
		head = str_from(head.at + 1, head.len - 2);
	else if (memchr(head.at, ':', head.len))
		return false;
	for (size_t i = 0; i < head.len; i++)
		if (head.at[i] <= ' ' || strchr("@/?#,", head.at[i]))
			return false;
	return head.len && str_to_number(tail, 65535, &number) && number && str_copy(head, host, 256) &&
	       str_copy(tail, port, 6);
}

bool nats_subject_is_valid(struct str subject)
{
	bool part = false;

	for (size_t i = 0; i < subject.len; i++) {
		unsigned char c = (unsigned char)subject.at[i];

		if (c <= ' ' || c == 0x7f || c == '*' || c == '>' || (c == '.' && !part))
			return false;
		part = c != '.';
	}
	return part && subject.len <= 1024;
}

/* ---- messages ---- */

static void message_free(struct message *message)
{
	free(message->subject);
	buf_fini(&message->headers);
	buf_fini(&message->payload);
	free(message);
}

static void end_first(struct nats *nats, const struct error *err)
{
	struct message *message = nats->messages[0];

	nats->messages_len--;
	memmove(nats->messages, nats->messages + 1, nats->messages_len * sizeof(nats->messages[0]));
	message->done(message->arg, err);
	message_free(message);
}

static void disconnect(struct nats *nats)
{
	loop_timer_stop(nats->settings.loop, &nats->patience);
	if (nats->state >= NATS_GREETED_NOT) {
		loop_unwatch(nats->settings.loop, nats->wire.fd);
		http_wire_close(&nats->wire);
	}
	buf_clear(&nats->in);
	buf_clear(&nats->out);
	nats->out_at = 0;
	nats->state = NATS_AWAY;
}

/* All that wait hear it, and come again if they want to. */
static void fail(struct nats *nats, const struct error *err)
{
	size_t len = nats->messages_len;

	disconnect(nats);
	while (len-- && nats->messages_len && !nats->stopped)
		end_first(nats, err);
}

static void fail_with(struct nats *nats, enum error_kind kind, const char *text)
{
	struct error err;

	(void)error_set(&err, kind, NULL, "%s", text);
	fail(nats, &err);
}

static void on_late(void *arg)
{
	fail_with(arg, ERROR_TIMEOUT, "the NATS server did not answer in time");
}

static void be_patient(struct nats *nats)
{
	loop_timer_start(nats->settings.loop, &nats->patience, nats->settings.timeout_ms, on_late, nats);
}

/* ---- what we say ---- */

static void run(struct nats *nats);

/* What waits leaves, with a PING behind each. */
static void send_waiting(struct nats *nats)
{
	for (size_t i = 0; i < nats->messages_len; i++) {
		struct message *message = nats->messages[i];
		size_t heads = nats->info.headers ? message->headers.len : 0;

		if (message->sent)
			continue;
		if (heads + message->payload.len > nats->info.max_payload) {
			struct error err;

			/* It is told in its turn: those before it are under way. */
			if (i)
				return;
			(void)error_set(&err, ERROR_TOO_LARGE, NULL,
				"the event has %zu bytes, the NATS server takes %llu",
				heads + message->payload.len, (unsigned long long)nats->info.max_payload);
			end_first(nats, &err);
			i--;
			continue;
		}
		if (!i)
			be_patient(nats);
		if (heads)
			buf_format(&nats->out, "HPUB %s %zu %zu\r\n", message->subject, heads,
				heads + message->payload.len);
		else
			buf_format(&nats->out, "PUB %s %zu\r\n", message->subject, message->payload.len);
		if (heads)
			buf_add(&nats->out, buf_str(&message->headers));
		buf_add(&nats->out, buf_str(&message->payload));
		buf_puts(&nats->out, "\r\nPING\r\n");
		message->sent = true;
	}
}

static bool put_key(struct nats *nats, struct json_writer *w, struct error *err)
{
	struct nats_key key;
	char signature[NATS_SIGNATURE_SIZE];

	if (!nats_key_read(nats->settings.credentials_file, &key, err))
		return false;
	nats_key_sign(&key, str_of(nats->info.nonce), signature);
	json_put_str(w, "jwt", buf_str(&key.jwt));
	json_put_text(w, "sig", signature);
	nats_key_fini(&key);
	return true;
}

static bool log_in(struct nats *nats, struct error *err)
{
	struct json_writer w = json_writer(&nats->out);

	buf_puts(&nats->out, "CONNECT ");
	json_open_object(&w);
	json_put_bool(&w, "verbose", false);
	json_put_bool(&w, "pedantic", false);
	json_put_bool(&w, "tls_required", nats->wire.ssl != NULL);
	json_put_bool(&w, "headers", true);
	json_put_text(&w, "name", "zotregistry.dev");
	json_put_text(&w, "lang", "c");
	json_put_text(&w, "version", ZOT_VERSION);
	json_put_int(&w, "protocol", 1);
	json_put_text(&w, "user", nats->settings.user);
	json_put_text(&w, "pass", nats->settings.password);
	json_put_text(&w, "auth_token", nats->settings.token);
	if (nats->settings.credentials_file && !put_key(nats, &w, err))
		return false;
	json_close_object(&w);
	buf_puts(&nats->out, "\r\nPING\r\n");
	nats->state = NATS_LOGGING_IN;
	return true;
}

/* ---- what the server says ---- */

static bool begin_tls(struct nats *nats, struct error *err)
{
	const struct http_wire_trust trust = { nats->settings.ca_file, nats->settings.cert_file,
		nats->settings.key_file };
	bool readable = nats->wire.readable;

	if (nats->in.len)
		return error_set(
			err, ERROR_INVALID, NULL, "the NATS server went on in plain text where TLS begins");
	if (!nats->tls && !http_wire_tls_client(&nats->tls, &trust, err))
		return false;
	http_wire_open_client(&nats->wire, nats->wire.fd, nats->tls, nats->host);
	nats->wire.readable = readable;
	nats->state = NATS_SHAKING;
	return true;
}

static bool take_info(struct nats *nats, struct str text, struct error *err)
{
	struct nats_info info;

	if (!nats_info_read(text, &info, err))
		return false;
	nats->info = info;
	if (nats->state != NATS_GREETED_NOT)
		return true; /* it says so again when its cluster changes */
	if (!nats->tls_wanted && !info.tls_required)
		return log_in(nats, err);
	nats->state = NATS_SHAKING; /* once this line is out of `in` */
	return true;
}

/* A message that is refused has its PONG behind it. */
static bool take_refusal(struct nats *nats, struct str why, struct error *err)
{
	if (nats->state == NATS_OPEN && nats->messages_len && nats->messages[0]->sent &&
		memmem(why.at, why.len, "Permissions Violation", 21)) {
		nats->messages[0]->denied = true;
		return true;
	}
	return error_set(err, ERROR_UNAVAILABLE, NULL, "the NATS server says %.*s",
		(int)(why.len < 150 ? why.len : 150), why.at);
}

static void take_pong(struct nats *nats)
{
	struct error denied;
	bool first = nats->state == NATS_LOGGING_IN;

	if (first) {
		nats->state = NATS_OPEN;
		loop_timer_stop(nats->settings.loop, &nats->patience);
		return;
	}
	if (!nats->messages_len || !nats->messages[0]->sent)
		return;
	(void)error_set(&denied, ERROR_DENIED, NULL,
		"the NATS server does not let this user publish to \"%.100s\"", nats->messages[0]->subject);
	loop_timer_stop(nats->settings.loop, &nats->patience);
	end_first(nats, nats->messages[0]->denied ? &denied : NULL);
	if (nats->messages_len && nats->messages[0]->sent)
		be_patient(nats);
}

static bool take_line(struct nats *nats, enum nats_word word, struct str text, struct error *err)
{
	switch (word) {
	case NATS_INFO:
		return take_info(nats, text, err);
	case NATS_PING:
		buf_puts(&nats->out, "PONG\r\n");
		return true;
	case NATS_PONG:
		take_pong(nats);
		return true;
	case NATS_ERR:
		return take_refusal(nats, text, err);
	case NATS_OK:
	case NATS_MORE:
		return true;
	case NATS_WRONG:
		break;
	}
	return error_set(err, ERROR_INVALID, NULL, "it does not speak NATS");
}

static bool take_lines(struct nats *nats, struct error *err)
{
	struct str rest = buf_str(&nats->in), text = STR_NONE;
	enum nats_word word = NATS_OK;
	bool shaking = nats->state == NATS_SHAKING, ok = true;

	while (ok && (nats->state == NATS_SHAKING) == shaking && nats->state >= NATS_GREETED_NOT) {
		word = nats_line(&rest, &text);
		if (word == NATS_MORE)
			break;
		ok = (nats->state == NATS_GREETED_NOT) == (word == NATS_INFO) || nats->state > NATS_SHAKING;
		if (!ok)
			return error_set(err, ERROR_INVALID, NULL, "it does not speak NATS");
		ok = take_line(nats, word, text, err);
	}
	if (ok && nats->state >= NATS_GREETED_NOT) {
		memmove(nats->in.at, rest.at, rest.len);
		nats->in.len = rest.len;
	}
	return ok;
}

/* ---- the wire ---- */

static bool lost(struct nats *nats, struct error *err)
{
	int why = 0;
	socklen_t len = sizeof(why);

	if (getsockopt(nats->wire.fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0 && why) {
		errno = why;
		(void)error_sys(err, "%s:%s", nats->host, nats->port);
		err->kind = ERROR_UNAVAILABLE;
		return false;
	}
	return error_set(err, ERROR_UNAVAILABLE, NULL, "%s",
		nats->state == NATS_SHAKING ? "TLS failed: it shows no certificate for its name that a CA "
					      "vouches for, or wants one of ours"
					    : "the NATS server closed the connection");
}

static bool read_some(struct nats *nats, struct error *err)
{
	while (nats->state >= NATS_GREETED_NOT && nats->state != NATS_SHAKING && nats->wire.readable) {
		char *at = nats->in.len <= NATS_LINE_MAX ? buf_reserve(&nats->in, READ_AT_ONCE) : NULL;
		size_t len = 0;

		if (!at)
			return error_set(
				err, ERROR_INVALID, NULL, "the NATS server sends a line without an end");
		switch (http_wire_read(&nats->wire, at, READ_AT_ONCE, &len)) {
		case HTTP_IO_OK:
			buf_grew(&nats->in, len);
			if (!take_lines(nats, err))
				return false;
			break;
		case HTTP_IO_AGAIN:
			return true;
		case HTTP_IO_END:
		case HTTP_IO_LOST:
			return lost(nats, err);
		}
	}
	return true;
}

static bool write_some(struct nats *nats, struct error *err)
{
	while (nats->out_at < nats->out.len && nats->wire.writable) {
		struct iovec part = { nats->out.at + nats->out_at, nats->out.len - nats->out_at };
		size_t len = 0;

		switch (http_wire_write(&nats->wire, &part, 1, false, nats->block, &len)) {
		case HTTP_IO_OK:
			nats->out_at += len;
			break;
		case HTTP_IO_AGAIN:
			return true;
		case HTTP_IO_END:
		case HTTP_IO_LOST:
			return lost(nats, err);
		}
	}
	if (nats->out.failed)
		return error_set(err, ERROR_TOO_LARGE, NULL, "too much waits for the NATS server");
	if (nats->out_at == nats->out.len) {
		buf_clear(&nats->out);
		nats->out_at = 0;
	}
	return true;
}

static bool shake(struct nats *nats, struct error *err)
{
	if (!nats->wire.ssl && !begin_tls(nats, err))
		return false;
	switch (http_wire_handshake(&nats->wire)) {
	case HTTP_IO_OK:
		nats->wire.readable = true; /* records may have come along */
		return log_in(nats, err);
	case HTTP_IO_AGAIN:
		return true;
	case HTTP_IO_END:
	case HTTP_IO_LOST:
		break;
	}
	return lost(nats, err);
}

static bool move(struct nats *nats, struct error *err)
{
	enum nats_state before;

	do {
		before = nats->state;
		if (nats->state == NATS_SHAKING && !shake(nats, err))
			return false;
		if (!read_some(nats, err))
			return false;
		if (nats->state == NATS_OPEN)
			send_waiting(nats);
		if (nats->state > NATS_SHAKING && !write_some(nats, err))
			return false;
	} while (nats->state != before && nats->state >= NATS_GREETED_NOT);
	return true;
}

static void on_ready(void *arg, uint32_t events)
{
	struct nats *nats = arg;
	struct error err;

	if (http_wire_ready(&nats->wire, events) && !move(nats, &err))
		fail(nats, &err);
}

/* ---- connecting ---- */

static void dial(struct nats *nats)
{
	const struct address *address = &nats->addresses[nats->next++ % nats->addresses_len];
	AUTO_FD fd = socket(address->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct error err;

	nats->state = NATS_AWAY;
	if (fd < 0 || (connect(fd, (const struct sockaddr *)&address->at, address->len) != 0 &&
			      errno != EINPROGRESS)) {
		(void)error_sys(&err, "%s:%s", nats->host, nats->port);
		err.kind = ERROR_UNAVAILABLE;
		fail(nats, &err);
		return;
	}
	if (!loop_watch(nats->settings.loop, fd, HTTP_WIRE_EVENTS, on_ready, nats, &err)) {
		fail(nats, &err);
		return;
	}
	http_wire_open_client(&nats->wire, TAKE_FD(fd), NULL, nats->host);
	nats->wire.writable = false;
	nats->state = NATS_GREETED_NOT;
	for (size_t i = 0; i < nats->messages_len; i++)
		nats->messages[i]->sent = false;
	be_patient(nats);
}

static void run_resolve(void *arg)
{
	struct resolving *r = arg;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;
	int failed = getaddrinfo(r->host, r->port, &hints, &found);

	for (const struct addrinfo *at = found; at && r->len < ADDRESSES_MAX; at = at->ai_next) {
		memcpy(&r->found[r->len].at, at->ai_addr, at->ai_addrlen);
		r->found[r->len++].len = at->ai_addrlen;
	}
	if (found)
		freeaddrinfo(found);
	if (!r->len)
		(void)error_set(
			&r->err, ERROR_UNAVAILABLE, NULL, "resolve %s: %s", r->host, gai_strerror(failed));
}

static void on_resolved(void *arg)
{
	struct resolving *r = arg;
	struct nats *nats = r->nats;

	nats->resolving = false;
	nats->state = NATS_AWAY;
	memcpy(nats->addresses, r->found, sizeof(r->found));
	nats->addresses_len = r->len;
	if (nats->stopped)
		;
	else if (!r->len)
		fail(nats, &r->err);
	else
		dial(nats);
	free(r);
}

static void resolve(struct nats *nats)
{
	struct resolving *r = xnew(struct resolving);

	r->nats = nats;
	memcpy(r->host, nats->host, sizeof(r->host));
	memcpy(r->port, nats->port, sizeof(r->port));
	nats->state = NATS_RESOLVING;
	if (pool_submit_then(nats->settings.pool, run_resolve, nats->settings.loop, on_resolved, r)) {
		nats->resolving = true;
		return;
	}
	free(r);
	nats->state = NATS_AWAY;
	fail_with(nats, ERROR_BUSY, "this worker is overloaded");
}

static void run(struct nats *nats)
{
	struct error err;

	if (nats->state == NATS_AWAY && nats->messages_len && !nats->resolving)
		resolve(nats);
	else if (nats->state == NATS_OPEN && !move(nats, &err))
		fail(nats, &err);
}

static void on_soon(void *arg)
{
	run(arg);
}

void nats_publish(struct nats *nats, const struct nats_message *message, nats_done_f *done, void *arg)
{
	struct message *own = xnew(struct message);

	loop_assert(nats->settings.loop);
	CHECK(nats->messages_len < NATS_PENDING && !nats->stopped);
	own->subject = check_strdup(message->subject);
	own->headers = buf_limit((size_t)64 * 1024);
	own->payload = buf_limit(FRAME_MAX);
	buf_puts(&own->headers, "NATS/1.0\r\n");
	for (size_t i = 0; i < http_headers_len(message->headers); i++) {
		const char *name, *value;

		http_headers_at(message->headers, i, &name, &value);
		buf_format(&own->headers, "%s: %s\r\n", name, value);
	}
	buf_puts(&own->headers, "\r\n");
	buf_add(&own->payload, message->payload);
	own->done = done;
	own->arg = arg;
	nats->messages[nats->messages_len++] = own;
	loop_timer_start(nats->settings.loop, &nats->soon, 0, on_soon, nats);
}

/* ---- life ---- */

bool nats_new(struct nats **ret, const struct nats_settings *settings, struct error *err)
{
	const struct http_wire_trust trust = { settings->ca_file, settings->cert_file, settings->key_file };
	AUTO(nats) *nats = xnew(struct nats);
	struct nats_key key;

	nats->settings = *settings;
	nats->in = buf_limit(2 * NATS_LINE_MAX);
	nats->out = buf_limit(FRAME_MAX);
	nats->block = check_alloc(1, HTTP_WIRE_BLOCK);
	if (!nats_address(settings->address, nats->host, nats->port, &nats->tls_wanted))
		return error_set(err, ERROR_INVALID, NULL, "\"%s\" is no address like nats://host:4222",
			settings->address);
	nats->tls_wanted = nats->tls_wanted || settings->ca_file || settings->cert_file;
	if (nats->tls_wanted && !http_wire_tls_client(&nats->tls, &trust, err))
		return false;
	if (settings->credentials_file) {
		if (!nats_key_read(settings->credentials_file, &key, err))
			return false;
		nats_key_fini(&key);
	}
	*ret = TAKE(nats);
	return true;
}

void nats_stop(struct nats *nats)
{
	nats->stopped = true;
	loop_timer_stop(nats->settings.loop, &nats->soon);
	disconnect(nats);
	while (nats->messages_len)
		message_free(nats->messages[--nats->messages_len]);
}

bool nats_is_still(const struct nats *nats)
{
	return !nats->resolving;
}

void nats_free(struct nats *nats)
{
	if (!nats)
		return;
	while (nats->messages_len)
		message_free(nats->messages[--nats->messages_len]);
	http_wire_tls_free(nats->tls);
	buf_fini(&nats->in);
	buf_fini(&nats->out);
	free(nats->block);
	free(nats);
}
