/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request goes on at another worker: two servers, the first of which forwards everything.
 */
#include "tests/unit/common/http_rig.h"

#include <inttypes.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/crypto.h"
#include "common/log.h"
#include "proto/oci_error.h"
#include "proto/peer_token.h"
#include "proto/ring.h"
#include "worker/auth/identity.h"
#include "worker/auth/peer_headers.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/peer.h"

#define BIG (3 * 1024 * 1024 + 17)

/* What peer.c asks of its neighbours. */

static atomic_int failed, answered, strange;
static atomic_bool signs_not;

bool cluster_peer_signs_not(struct cluster *cluster, struct str id)
{
	(void)cluster;
	(void)id;
	return signs_not;
}

const char *cluster_self(const struct cluster *cluster)
{
	(void)cluster;
	return "entry";
}

const char *cluster_known_as(const struct cluster *cluster)
{
	return cluster_self(cluster);
}

struct str cluster_key(const struct cluster *cluster)
{
	(void)cluster;
	return STR("between us");
}

void cluster_name_of(const struct cluster *cluster, const struct snapshot *snapshot,
	const struct ring_member *member, struct buf *into)
{
	(void)cluster;
	(void)snapshot;
	buf_puts(into, member->id);
}

uint64_t cluster_next_call(struct cluster *cluster, uint8_t into[PEER_PROCESS_BYTES])
{
	static _Atomic uint64_t calls;

	(void)cluster;
	memset(into, 7, PEER_PROCESS_BYTES);
	return calls++;
}

void cluster_peer_failed(struct cluster *cluster, struct str id)
{
	(void)cluster;
	(void)id;
	failed++;
}

void cluster_peer_doubted(struct cluster *cluster, struct str id)
{
	(void)cluster;
	(void)id;
}

bool cluster_peer_is_failed(struct cluster *cluster, struct str id)
{
	(void)cluster;
	(void)id;
	return false;
}

void cluster_peer_strange(struct cluster *cluster, struct str id, const struct error *err)
{
	(void)cluster;
	(void)id;
	assert_true(err->text[0]);
	strange++;
}

void cluster_peer_answered(struct cluster *cluster, struct str id)
{
	(void)cluster;
	(void)id;
	answered++;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
	return snapshot;
}

void snapshot_free(struct snapshot *snapshot)
{
	(void)snapshot;
}

/* The owner. */

static char *big;

static void count_accept(void *arg, const char *name, const char *value)
{
	(void)value;
	if (!strcasecmp(name, "Accept"))
		++*(unsigned *)arg;
}

#define SECRET STR("between us")

static void sign(const char *token, const char *name, char into[PEER_ANSWER_MAX + 1])
{
	AUTO_FINI(buf) text = buf_limit(PEER_ANSWER_MAX);
	struct peer_answer answer = { .process = { 7 } };

	assert_true(str_copy(str_of(name), answer.name, sizeof(answer.name)));
	peer_answer_format(SECRET, str_of(token), &answer, &text);
	assert_true(str_copy(buf_str(&text), into, PEER_ANSWER_MAX + 1));
}

static bool read_call(struct http_request *request, struct peer_claims *ret)
{
	const char *header = http_request_header(request, PEER_HEADER);
	AUTO_FINI(buf) lines = buf_limit(65536);
	struct peer_request asked = { .method = str_of(http_method_name(http_request_method(request))),
		.target = http_request_target(request),
		.length = http_request_length(request) };
	struct error err;

	peer_signed_request(request, &lines);
	asked.headers = buf_str(&lines);
	return header && peer_token_parse(SECRET, &asked, str_of(header), ret, &err);
}

static void sign_reply(struct http_request *request)
{
	char text[PEER_ANSWER_MAX + 1];
	struct peer_claims claims;

	if (!read_call(request, &claims))
		return;
	sign(http_request_header(request, PEER_HEADER), claims.receiver, text);
	http_request_reply_header(request, PEER_ANSWER_HEADER, text);
	peer_claims_fini(&claims);
}

static void say_who(struct http_request *request, struct http_response *response)
{
	struct peer_claims claims;

	if (!read_call(request, &claims)) {
		http_response_header(response, "X-User", "not a peer");
		return;
	}
	http_response_headerf(response, "X-User", "%s at %s, of %s to %s, ring %016" PRIx64 ", groups %u",
		claims.user, claims.client, claims.sender, claims.receiver, claims.ring,
		(unsigned)claims.groups_len);
	peer_claims_fini(&claims);
}

static void on_echo(void *arg, struct http_request *request, struct str body, const struct error *err)
{
	struct http_response *response = http_response_copy(201, body);
	const char *hop = http_request_header(request, HOP_HEADER);
	unsigned accepts = 0;

	(void)arg;
	assert_null(err);
	http_request_each_header(request, count_accept, &accepts);
	http_response_headerf(response, "X-Accepts", "%u", accepts);
	http_response_header(
		response, "X-Authorization", http_request_header(request, "Authorization") ? "yes" : "no");
	http_response_header(response, "X-Hidden", http_request_header(request, "X-Trace") ? "no" : "yes");
	http_response_header(response, "X-Hop", hop ? hop : "none");
	http_response_header(response, "X-Twice", "1");
	http_response_header(response, "X-Twice", "2");
	http_response_header(response, "Location", "/v2/a/blobs/x");
	say_who(request, response);
	http_request_reply(request, response);
}

static void on_owner(void *app, struct http_request *request)
{
	struct str path = http_request_path(request);
	struct http_response *response;

	(void)app;
	if (!str_is(path, "/unsigned"))
		sign_reply(request);
	if (str_is(path, "/echo")) {
		http_request_collect(request, 2 * BIG, on_echo, NULL);
		return;
	}
	if (str_is(path, "/big"))
		response = http_response_copy(200, str_from(big, BIG));
	else if (str_is(path, "/head"))
		response = http_response_announce(200, 12345);
	else if (str_is(path, "/elsewhere"))
		response = http_response_empty(421);
	else if (str_is(path, "/nothing"))
		response = http_response_empty(204);
	else
		response = http_response_copy(404, STR("no"));
	http_response_header(response, "ETag", "\"x\"");
	http_request_reply(request, response);
}

static void on_owner_done(void *app, struct http_request *request)
{
	(void)app;
	(void)request;
}

/* A member that does what is written for each request, one after the other. */

enum act {
	ANSWER, /* 201, the body again, and the connection is closed */
	KEEP,   /* the same without closing */
	CUT,    /* it has the request, and not a word comes */
	DIE,    /* the same, and then nobody is there */
	MUTE,   /* it has the request and stays silent */
	MISDIRECTED,
	REFUSE,   /* it does not believe us */
	USED,     /* it says that it had this call before */
	HALF,     /* an answer that ends before its length */
	ODD,      /* a status that is none */
	ENDLESS,  /* an answer of no length, without an end */
	UNSIGNED, /* 404, of somebody who does not know the secret */
	ANOTHER,  /* 404, signed by another member, whose address it is */
};

struct heard {
	char head[8192];
	char body[64];
	/* The line that proves who answers, and that of another member. */
	char answer[sizeof(PEER_ANSWER_HEADER) + PEER_ANSWER_MAX + 8];
	char other[sizeof(PEER_ANSWER_HEADER) + PEER_ANSWER_MAX + 8];
	struct peer_claims claims;
};

struct member {
	int listen_fd;
	pthread_t thread;
	const enum act *acts;
	size_t acts_len;
	int mute[4];
	unsigned mute_len;
	struct heard heard[4];
	atomic_int heard_len;
};

/* False: the connection is at its end. */
static bool hear(int fd, struct heard *heard)
{
	size_t len = 0, length = 0;
	char *end = NULL;
	const char *at;

	while (!end) {
		ssize_t n = recv(fd, heard->head + len, sizeof(heard->head) - 1 - len, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
		heard->head[len] = '\0';
		end = strstr(heard->head, "\r\n\r\n");
	}
	at = strstr(heard->head, "Content-Length: ");
	if (at && at < end)
		length = strtoul(at + strlen("Content-Length: "), NULL, 10);
	assert_true(length < sizeof(heard->body));
	while (len < (size_t)(end + 4 - heard->head) + length) {
		ssize_t n = recv(fd, heard->head + len, sizeof(heard->head) - 1 - len, 0);
		assert_true(n > 0);
		len += (size_t)n;
	}
	memcpy(heard->body, end + 4, length);
	return true;
}

static void read_claims(struct heard *heard)
{
	char *token = strstr(heard->head, PEER_HEADER ": ") + strlen(PEER_HEADER ": ");
	struct str line = str_of(heard->head), rest = str_of(token), value = STR_NONE;
	struct peer_request asked = { .length = (int64_t)strlen(heard->body) };

	assert_null(strstr(heard->head, "X-Forwarded-For"));
	assert_true(str_until(&line, ' ', &asked.method) && str_until(&line, ' ', &asked.target) &&
		    str_until(&rest, '\r', &value));
	AUTO_STR *text = str_dup(value);
	char answer[PEER_ANSWER_MAX + 1];
	assert_true(peer_token_parse(SECRET, &asked, value, &heard->claims, NULL));
	sign(text, heard->claims.receiver, answer);
	(void)snprintf(heard->answer, sizeof(heard->answer), PEER_ANSWER_HEADER ": %s\r\n", answer);
	sign(text, "somebody else", answer);
	(void)snprintf(heard->other, sizeof(heard->other), PEER_ANSWER_HEADER ": %s\r\n", answer);
}

static void say(int fd, const struct heard *heard, const char *status, const char *rest)
{
	char text[2048];

	(void)snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n%s%s", status, heard->answer, rest);
	put(fd, text);
}

static void echo(int fd, const struct heard *heard)
{
	char rest[256];

	(void)snprintf(rest, sizeof(rest), "Content-Length: %zu\r\n\r\n%s", strlen(heard->body), heard->body);
	say(fd, heard, "201 Created", rest);
}

/* False: the connection is closed. */
static bool act(struct member *member, int fd, enum act what, const struct heard *heard)
{
	static const char zeros[256];

	switch (what) {
	case ANSWER:
		echo(fd, heard);
		break;
	case KEEP:
		echo(fd, heard);
		return true;
	case UNSIGNED:
		put(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
		return true;
	case ANOTHER:
		put(fd, "HTTP/1.1 404 Not Found\r\n");
		put(fd, heard->other);
		put(fd, "Content-Length: 2\r\n\r\nno");
		return true;
	case MISDIRECTED:
		say(fd, heard, "421 Misdirected Request", "Content-Length: 0\r\n\r\n");
		break;
	case REFUSE:
		say(fd, heard, "401 Unauthorized",
			PEER_REFUSED_HEADER ": " PEER_REFUSED "\r\nContent-Length: 2\r\n\r\n{}");
		return true;
	case USED:
		say(fd, heard, "401 Unauthorized",
			PEER_REFUSED_HEADER ": " PEER_USED "\r\nContent-Length: 2\r\n\r\n{}");
		return true;
	case HALF:
		say(fd, heard, "200 OK", "Content-Length: 3000000\r\n\r\nbegin");
		break;
	case ODD:
		say(fd, heard, "777 What", "Content-Length: 0\r\n\r\n");
		return true;
	case ENDLESS:
		say(fd, heard, "200 OK", "\r\n");
		while (put_all(fd, zeros, sizeof(zeros)))
			;
		break;
	case DIE:
		(void)close(member->listen_fd);
		member->listen_fd = -1;
		break;
	case MUTE:
		member->mute[member->mute_len++] = fd;
		return false;
	case CUT:
		break;
	}
	(void)close(fd);
	return false;
}

static void *member_main(void *arg)
{
	struct member *member = arg;

	for (size_t at = 0; at < member->acts_len;) {
		int fd = accept(member->listen_fd, NULL, NULL);
		bool open = fd >= 0;
		if (!open)
			break;
		while (open && at < member->acts_len) {
			struct heard *heard = &member->heard[at];
			if (!hear(fd, heard)) {
				(void)close(fd);
				break;
			}
			read_claims(heard);
			member->heard_len++;
			open = act(member, fd, member->acts[at++], heard);
		}
		if (open && at == member->acts_len)
			(void)close(fd);
	}
	return NULL;
}

/* The entry. */

struct entry {
	struct rig owner, own;
	struct snapshot snapshot;
	struct identity *identity;
	char url[64], dead_url[64], scripted_url[64];
	struct ring_member member, dead, scripted;
	struct member script;
	int64_t limit_ms;
	atomic_int open;
};

#define CALL 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255
static const uint8_t the_call[PEER_CALL_BYTES] = { CALL };

struct forwarding {
	struct entry *entry;
	struct peer_call *call;
	char *body;
	size_t len;
};

static void on_unreachable(void *arg, struct http_request *request, int64_t sent_ms, const struct error *err)
{
	struct forwarding *forwarding = arg;
	struct http_response *response =
		http_response_copy(200, str_from(forwarding->body ? forwarding->body : "here",
						forwarding->body ? forwarding->len : 4));

	assert_non_null(err);
	http_response_headerf(response, "X-Sent", "%lld", (long long)sent_ms);
	http_request_reply(request, response);
}

static void on_refused(
	void *arg, struct http_request *request, unsigned retry_after_s, const struct error *err)
{
	struct http_response *response = http_response_copy(oci_error_status(err), str_of(err->text));

	(void)arg;
	if (retry_after_s)
		http_response_headerf(response, "Retry-After", "%u", retry_after_s);
	http_request_reply(request, response);
}

static void forward(struct forwarding *forwarding, struct http_request *request)
{
	struct entry *entry = forwarding->entry;
	bool dead = http_query_get(http_request_query(request), "dead", NULL);
	bool is_change = http_query_get(http_request_query(request), "change", NULL);
	bool scripted = is_change || http_query_get(http_request_query(request), "scripted", NULL);
	struct peer_forward how = {
		.client = entry->own.client,
		.request = request,
		.snapshot = &entry->snapshot,
		.identity = entry->identity,
		.member = dead       ? &entry->dead
			  : scripted ? &entry->scripted
				     : &entry->member,
		.from = { { [10] = 255, 255, 192, 0, 2, 7 } },
		.only_there = http_query_get(http_request_query(request), "held", NULL),
		.has_call = is_change,
		.call = { CALL },
		.limit_ms = entry->limit_ms,
		.body_is_collected = forwarding->body,
		.body = str_from(forwarding->body, forwarding->len),
		.on_unreachable = on_unreachable,
		.refuse = on_refused,
		.arg = forwarding,
	};

	forwarding->call = peer_forward_start(&how);
}

static void on_collected(void *arg, struct http_request *request, struct str body, const struct error *err)
{
	struct forwarding *forwarding = arg;

	assert_null(err);
	forwarding->body = check_strndup(body.at ? body.at : "", body.len);
	forwarding->len = body.len;
	forward(forwarding, request);
}

static void on_entry(void *app, struct http_request *request)
{
	struct forwarding *forwarding = xnew(struct forwarding);

	forwarding->entry = app;
	forwarding->entry->open++;
	http_request_set_context(request, forwarding);
	if (http_query_get(http_request_query(request), "collect", NULL))
		http_request_collect(request, 2 * BIG, on_collected, forwarding);
	else
		forward(forwarding, request);
}

static void on_entry_done(void *app, struct http_request *request)
{
	struct forwarding *forwarding = http_request_context(request);
	struct entry *entry = app;

	peer_call_done(forwarding->call);
	free(forwarding->body);
	free(forwarding);
	entry->open--;
}

static struct entry *setup(void)
{
	const char *const groups[] = { "g1", "g2" };
	const struct peer_claims who = {
		.sender = "", .client = "", .user = "alice", .apikey = "", .groups = groups, .groups_len = 2
	};
	struct ring_member members[1];
	struct entry *entry = xnew(struct entry);
	uint8_t key[16] = { 1 };
	uint16_t port = 0, dead_port = 0;
	int fd;

	failed = answered = strange = 0;
	big = malloc(BIG);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)(i * 7 + i / 251);
	rig_open(&entry->owner, rig_listen(&port, false),
		(struct http_app){ NULL, on_owner, on_owner_done, NULL });
	(void)snprintf(entry->url, sizeof(entry->url), "http://127.0.0.1:%u", port);
	assert_true(http_listen("127.0.0.1", 0, false, &fd, &dead_port, NULL));
	(void)close(fd);
	(void)snprintf(entry->dead_url, sizeof(entry->dead_url), "http://127.0.0.1:%u", dead_port);
	entry->member = (struct ring_member){ "owner", entry->url, true, NULL };
	entry->dead = (struct ring_member){ "dead", entry->dead_url, true, NULL };
	members[0] = entry->member;
	assert_true(ring_new(&entry->snapshot.ring, 9, RING_MODULO, key, members, 1, NULL));
	entry->identity = identity_new_peer(&who, NULL);
	port = 0;
	rig_open(&entry->own, rig_listen(&port, false),
		(struct http_app){ entry, on_entry, on_entry_done, NULL });
	rig_run(&entry->owner);
	rig_run(&entry->own);
	return entry;
}

static void teardown(struct entry *entry)
{
	await(&entry->open, 0);
	rig_close(&entry->own);
	rig_close(&entry->owner);
	ring_free(entry->snapshot.ring);
	identity_free(entry->identity);
	free(big);
	free(entry);
}

/* The client. */

static bool ask(const struct entry *entry, struct http_call_spec spec, const char *path,
	struct http_result *result, struct error *err)
{
	char url[128];

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", entry->own.port, path);
	spec.url = url;
	spec.method = spec.method ? spec.method : "GET";
	http_result_init(result, 2 * BIG);
	return http_send(&spec, result, err);
}

static void assert_header(const struct http_result *result, const char *name, const char *value)
{
	const char *found = http_headers_find(result->headers, name);

	assert_non_null(found);
	assert_string_equal(found, value);
}

static void add(struct http_headers *headers, const char *name, const char *value)
{
	assert_true(http_headers_add(headers, str_of(name), str_of(value)));
}

static void headers_and_body_go_through(void **state)
{
	struct entry *entry = setup();
	AUTO(http_headers) *headers = http_headers_new();
	struct http_result result;
	struct error err;
	char said[128];
	unsigned twice = 0;

	(void)state;
	add(headers, "Accept", "a/b");
	add(headers, "Accept", "c/d");
	/* What is signed of the head, as curl sends it and our server reads it. */
	add(headers, "Content-Type", "application/x");
	add(headers, "if-none-match", "\"a\"");
	add(headers, "Range", "bytes=0-1");
	add(headers, "If-None-Match", "\"b\", \"c\"");
	add(headers, "If-Match", "");
	add(headers, "Authorization", "Basic eDp5");
	add(headers, "Zot-Cluster-Peer", "v1 forged");
	add(headers, "X-Zot-Cluster-Hop-Count", "7");
	assert_true(ask(entry,
		(struct http_call_spec){
			.method = "PUT", .headers = headers, .body = STR("hello"), .has_body = true },
		"/echo?x=%20y", &result, &err));
	assert_int_equal(result.status, 201);
	assert_string_equal(buf_text(&result.body), "hello");
	assert_header(&result, "X-Accepts", "2");
	assert_header(&result, "X-Authorization", "no");
	assert_header(&result, "X-Hop", "1");
	assert_header(&result, "Location", "/v2/a/blobs/x");
	(void)snprintf(said, sizeof(said),
		"alice at 192.0.2.7, of entry to owner, ring %016" PRIx64 ", groups 2",
		ring_mark(entry->snapshot.ring));
	assert_header(&result, "X-User", said);
	for (size_t i = 0; i < http_headers_len(result.headers); i++) {
		const char *name, *value;
		http_headers_at(result.headers, i, &name, &value);
		twice += !strcasecmp(name, "X-Twice");
	}
	assert_int_equal(twice, 2);
	assert_int_equal(answered, 1);
	http_result_fini(&result);
	teardown(entry);
}

static void headers_of_the_hop_stay_here(void **state)
{
	struct entry *entry = setup();
	struct reply *reply = xnew(struct reply);
	int fd = dial(entry->own.port);

	(void)state;
	put(fd, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: x-trace\r\nX-Trace: 1\r\n\r\n");
	assert_true(take_reply(fd, reply));
	assert_int_equal(reply->status, 201);
	assert_string_equal(reply_header(reply, "X-Hidden"), "yes");
	(void)close(fd);
	free(reply);
	teardown(entry);
}

static void big_bodies_stream_both_ways(void **state)
{
	struct entry *entry = setup();
	struct http_result result;
	struct error err;

	(void)state;
	assert_true(ask(entry,
		(struct http_call_spec){ .method = "PATCH", .body = str_from(big, BIG), .has_body = true },
		"/echo", &result, &err));
	assert_int_equal(result.status, 201);
	assert_int_equal(result.body.len, BIG);
	assert_memory_equal(result.body.at, big, BIG);
	http_result_fini(&result);
	assert_true(ask(entry, (struct http_call_spec){ 0 }, "/big", &result, &err));
	assert_int_equal(result.body.len, BIG);
	assert_header(&result, "ETag", "\"x\"");
	http_result_fini(&result);
	teardown(entry);
}

static void bodyless_answers_stay_so(void **state)
{
	struct entry *entry = setup();
	struct http_result result;
	struct error err;

	(void)state;
	assert_true(ask(entry, (struct http_call_spec){ .method = "HEAD" }, "/head", &result, &err));
	assert_int_equal(result.status, 200);
	assert_header(&result, "Content-Length", "12345");
	http_result_fini(&result);
	assert_true(ask(entry, (struct http_call_spec){ .method = "DELETE" }, "/nothing", &result, &err));
	assert_int_equal(result.status, 204);
	http_result_fini(&result);
	assert_true(ask(entry, (struct http_call_spec){ .method = "POST", .has_body = true }, "/echo",
		&result, &err));
	assert_int_equal(result.status, 201);
	assert_int_equal(result.body.len, 0);
	http_result_fini(&result);
	teardown(entry);
}

static void the_unreachable_is_served_here(void **state)
{
	struct entry *entry = setup();
	struct http_result result;
	struct error err;

	(void)state;
	assert_true(ask(entry, (struct http_call_spec){ 0 }, "/echo?dead", &result, &err));
	assert_string_equal(buf_text(&result.body), "here");
	assert_int_equal(failed, 1);
	http_result_fini(&result);
	assert_true(
		ask(entry, (struct http_call_spec){ .method = "PUT", .body = STR("kept"), .has_body = true },
			"/echo?collect&dead", &result, &err));
	assert_string_equal(buf_text(&result.body), "kept");
	http_result_fini(&result);
	assert_true(
		ask(entry, (struct http_call_spec){ .method = "PUT", .body = STR("kept"), .has_body = true },
			"/elsewhere?collect", &result, &err));
	assert_string_equal(buf_text(&result.body), "kept");
	assert_int_equal(failed, 2);
	http_result_fini(&result);
	teardown(entry);
}

/* Leaves in the middle of a body that the owner waits for. */
static void a_client_may_leave(void **state)
{
	struct entry *entry = setup();
	int fd = dial(entry->own.port);

	(void)state;
	put(fd, "PATCH /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegin");
	await(&entry->open, 1);
	(void)close(fd);
	await(&entry->open, 0);
	teardown(entry);
}

/* Changes. */

static struct entry *setup_script(const enum act *acts, size_t acts_len)
{
	struct entry *entry = setup();
	struct member *script = &entry->script;
	uint16_t port = 0;
	struct error err;

	script->acts = acts;
	script->acts_len = acts_len;
	assert_true(http_listen("127.0.0.1", 0, false, &script->listen_fd, &port, &err));
	(void)fcntl(script->listen_fd, F_SETFL, 0);
	(void)snprintf(entry->scripted_url, sizeof(entry->scripted_url), "http://127.0.0.1:%u", port);
	entry->scripted = (struct ring_member){ "scripted", entry->scripted_url, true, NULL };
	assert_int_equal(pthread_create(&script->thread, NULL, member_main, script), 0);
	return entry;
}
#define SCRIPT(...)                                                                                          \
	setup_script(                                                                                        \
		(const enum act[]){ __VA_ARGS__ }, sizeof((enum act[]){ __VA_ARGS__ }) / sizeof(enum act))

static void teardown_script(struct entry *entry)
{
	struct member *script = &entry->script;

	assert_int_equal(pthread_join(script->thread, NULL), 0);
	assert_int_equal(script->heard_len, script->acts_len);
	for (unsigned i = 0; i < script->mute_len; i++)
		(void)close(script->mute[i]);
	for (int i = 0; i < script->heard_len; i++)
		peer_claims_fini(&script->heard[i].claims);
	if (script->listen_fd >= 0)
		(void)close(script->listen_fd);
	teardown(entry);
}

static void change(const struct entry *entry, struct http_result *result)
{
	struct error err;

	if (!ask(entry, (struct http_call_spec){ .method = "PUT", .body = STR("kept"), .has_body = true },
		    "/x?collect&change", result, &err))
		fail_msg("%s", err.text);
}

static void expect_call(const struct entry *entry, unsigned at, bool repeated)
{
	const struct peer_claims *claims = &entry->script.heard[at].claims;

	assert_true(claims->has_call);
	assert_memory_equal(claims->call, the_call, sizeof(claims->call));
	assert_int_equal(claims->call_sent_ms != 0, repeated);
	if (repeated)
		assert_in_range(claims->call_sent_ms, clock_wall_ms() - 20000, clock_wall_ms());
}

/* Done here, under the id, and with the time of the first sending. */
static void expect_here(const struct http_result *result, bool sent)
{
	const char *text = http_headers_find(result->headers, "X-Sent");

	assert_int_equal(result->status, 200);
	assert_string_equal(buf_text(&result->body), "kept");
	assert_non_null(text);
	if (sent)
		assert_in_range(strtoll(text, NULL, 10), clock_wall_ms() - 20000, clock_wall_ms());
	else
		assert_string_equal(text, "0");
}

static void a_change_without_an_answer_is_sent_again(void **state)
{
	struct entry *entry = SCRIPT(CUT, ANSWER);
	struct http_result result;

	(void)state;
	change(entry, &result);
	assert_int_equal(result.status, 201);
	assert_string_equal(buf_text(&result.body), "kept");
	expect_call(entry, 0, false);
	expect_call(entry, 1, true);
	assert_string_equal(entry->script.heard[0].body, "kept");
	http_result_fini(&result);
	teardown_script(entry);
}

static void a_change_without_a_body_too(void **state)
{
	struct entry *entry = SCRIPT(CUT, ANSWER);
	struct http_result result;
	struct error err;

	(void)state;
	/* A body that nobody wants is not sent on. */
	assert_true(ask(entry,
		(struct http_call_spec){ .method = "DELETE", .body = STR("odd"), .has_body = true },
		"/x?change", &result, &err));
	assert_int_equal(result.status, 201);
	expect_call(entry, 0, false);
	expect_call(entry, 1, true);
	assert_string_equal(entry->script.heard[0].body, "");
	http_result_fini(&result);
	teardown_script(entry);
}

static void a_silent_member_is_asked_again(void **state)
{
	struct entry *entry = SCRIPT(MUTE, ANSWER);
	struct http_result result;

	(void)state;
	entry->limit_ms = 5000;
	change(entry, &result);
	assert_int_equal(result.status, 201);
	expect_call(entry, 1, true);
	assert_true(entry->script.heard[1].claims.call_age_ms >= 1500);
	http_result_fini(&result);
	teardown_script(entry);
}

static void what_nobody_answers_is_done_here(void **state)
{
	struct entry *entry = SCRIPT(MUTE, MUTE);
	struct http_result result;
	int64_t begun = clock_ms();

	(void)state;
	entry->limit_ms = 2000;
	change(entry, &result);
	expect_here(&result, true);
	assert_in_range(clock_ms() - begun, 1000, 2000 + 5000);
	assert_int_equal(failed, 2);
	http_result_fini(&result);
	teardown_script(entry);
}

static void a_member_that_dies_with_it_may_have_done_it(void **state)
{
	struct entry *entry = SCRIPT(DIE);
	struct http_result result;

	(void)state;
	change(entry, &result);
	expect_here(&result, true);
	http_result_fini(&result);
	teardown_script(entry);
}

/* The second one has not done it, and says nothing of the first. */
static void a_ring_that_moved_meanwhile(void **state)
{
	struct entry *entry = SCRIPT(CUT, MISDIRECTED);
	struct http_result result;

	(void)state;
	change(entry, &result);
	expect_here(&result, true);
	http_result_fini(&result);
	teardown_script(entry);
}

static void what_was_never_sent_is_a_change_of_our_own(void **state)
{
	struct entry *entry = SCRIPT(MISDIRECTED);
	struct http_result result;
	struct error err;

	(void)state;
	change(entry, &result);
	expect_here(&result, false);
	http_result_fini(&result);
	assert_true(
		ask(entry, (struct http_call_spec){ .method = "PUT", .body = STR("kept"), .has_body = true },
			"/x?collect&change&dead", &result, &err));
	expect_here(&result, false);
	http_result_fini(&result);
	teardown_script(entry);
}

static void isolated_storage_says_that_it_is_unknown(void **state)
{
	struct entry *entry = SCRIPT(MUTE, MUTE);
	struct http_result result;
	int64_t begun = clock_ms();

	(void)state;
	entry->snapshot.isolated = true;
	entry->limit_ms = 1000;
	change(entry, &result);
	assert_int_equal(result.status, 503);
	assert_header(&result, "Retry-After", "5");
	assert_non_null(strstr(buf_text(&result.body), "the outcome is unknown"));
	assert_in_range(clock_ms() - begun, 900, 1000 + 5000);
	http_result_fini(&result);
	teardown_script(entry);
}

/* What was cut twice is not sent a third time. */
static void isolated_storage_tries_twice(void **state)
{
	struct entry *entry = SCRIPT(CUT, CUT);
	struct http_result result;

	(void)state;
	entry->snapshot.isolated = true;
	change(entry, &result);
	assert_int_equal(result.status, 503);
	http_result_fini(&result);
	teardown_script(entry);
}

/* A kept connection that dies: the library sends the same bytes once more by itself. */
static void what_curl_repeats_is_the_same_call(void **state)
{
	struct entry *entry = SCRIPT(KEEP, CUT, ANSWER);
	struct http_result result;

	(void)state;
	change(entry, &result);
	assert_int_equal(result.status, 201);
	http_result_fini(&result);
	change(entry, &result);
	assert_int_equal(result.status, 201);
	expect_call(entry, 1, false);
	expect_call(entry, 2, false);
	http_result_fini(&result);
	teardown_script(entry);
}

static void it_dies_with_a_kept_connection(void **state)
{
	struct entry *entry = SCRIPT(KEEP, DIE);
	struct http_result result;

	(void)state;
	change(entry, &result);
	http_result_fini(&result);
	change(entry, &result);
	expect_here(&result, true);
	http_result_fini(&result);
	teardown_script(entry);
}

static void a_client_may_leave_between_the_two(void **state)
{
	struct entry *entry = SCRIPT(CUT, MUTE);
	int fd = dial(entry->own.port);

	(void)state;
	put(fd, "DELETE /x?change HTTP/1.1\r\nHost: x\r\n\r\n");
	await(&entry->script.heard_len, 2);
	(void)close(fd);
	teardown_script(entry);
}

/* Calls that are not believed. */

static void a_call_that_is_not_believed_is_signed_anew(void **state)
{
	struct entry *entry = SCRIPT(REFUSE, ANSWER);
	const struct heard *heard = entry->script.heard;
	uint8_t digest[HASH_MAX];
	struct http_result result;

	(void)state;
	change(entry, &result);
	assert_int_equal(result.status, 201);
	expect_call(entry, 0, false);
	expect_call(entry, 1, false);
	assert_true(heard[1].claims.sequence > heard[0].claims.sequence);
	assert_in_range(heard[1].claims.issued_ms, clock_wall_ms() - 20000, clock_wall_ms());
	assert_string_equal(heard[1].claims.receiver, "scripted");
	hash_bytes(HASH_SHA256, "kept", 4, digest);
	assert_true(heard[1].claims.has_digest);
	assert_memory_equal(heard[1].claims.digest, digest, PEER_DIGEST_BYTES);
	http_result_fini(&result);
	teardown_script(entry);
}

static void a_quarrel_is_no_401(void **state)
{
	struct entry *entry = SCRIPT(REFUSE, REFUSE);
	struct http_result result;

	(void)state;
	change(entry, &result);
	expect_here(&result, false);
	http_result_fini(&result);
	teardown_script(entry);
}

/* It had the call, and its answer is lost: what we do now is done under the same id. */
static void a_call_that_was_used_may_have_been_done(void **state)
{
	struct entry *entry = SCRIPT(USED, USED);
	struct http_result result;

	(void)state;
	change(entry, &result);
	expect_call(entry, 0, false);
	expect_call(entry, 1, true);
	expect_here(&result, true);
	http_result_fini(&result);
	teardown_script(entry);
}

static int ask_scripted(const struct entry *entry, const char *method, const char *path, struct str body)
{
	struct http_result result;
	struct error err;
	int status;

	if (!ask(entry, (struct http_call_spec){ .method = method, .body = body, .has_body = body.len > 0 },
		    path, &result, &err))
		fail_msg("%s", err.text);
	assert_null(http_headers_find(result.headers, PEER_REFUSED_HEADER));
	status = (int)result.status;
	http_result_fini(&result);
	return status;
}

static void reads_that_are_not_believed_are_served_here(void **state)
{
	struct entry *entry = SCRIPT(REFUSE, REFUSE);

	(void)state;
	assert_int_equal(ask_scripted(entry, "GET", "/x?scripted", STR_NONE), 200);
	teardown_script(entry);
}

/* A body that went is gone, and who holds an upload is the only one who can go on with it. */
static void what_nobody_else_can_serve_is_503(void **state)
{
	struct entry *entry = SCRIPT(REFUSE, REFUSE, REFUSE);

	(void)state;
	assert_int_equal(ask_scripted(entry, "PATCH", "/x?scripted&held", STR("abc")), 503);
	assert_int_equal(ask_scripted(entry, "GET", "/x?scripted&held", STR_NONE), 503);
	teardown_script(entry);
}

static void a_cut_answer_is_never_whole(void **state)
{
	struct entry *entry = SCRIPT(HALF);
	struct http_result result;
	struct error err;

	(void)state;
	assert_false(ask(entry, (struct http_call_spec){ 0 }, "/x?scripted", &result, &err));
	http_result_fini(&result);
	teardown_script(entry);
}

static void what_is_no_answer_is_none(void **state)
{
	struct entry *entry = SCRIPT(ODD, ENDLESS);

	(void)state;
	assert_int_equal(ask_scripted(entry, "GET", "/x?scripted", STR_NONE), 200);
	assert_int_equal(ask_scripted(entry, "GET", "/x?scripted", STR_NONE), 200);
	teardown_script(entry);
}

/* Somebody else has the member's address: what he says no client hears. */

static void a_stranger_is_not_quoted(void **state)
{
	struct entry *entry = SCRIPT(UNSIGNED, ANOTHER);

	(void)state;
	assert_int_equal(ask_scripted(entry, "GET", "/x?scripted", STR_NONE), 200);
	assert_int_equal(ask_scripted(entry, "GET", "/x?scripted", STR_NONE), 200);
	assert_int_equal(strange, 2);
	assert_int_equal(answered, 0);
	teardown_script(entry);
}

/* Of the version before, as the leader says; a wrong proof is none all the same. */
static void a_member_that_cannot_sign_is_heard(void **state)
{
	struct entry *entry = SCRIPT(UNSIGNED, ANOTHER);

	(void)state;
	signs_not = true;
	assert_int_equal(ask_scripted(entry, "GET", "/x?scripted", STR_NONE), 404);
	assert_int_equal(ask_scripted(entry, "GET", "/x?scripted", STR_NONE), 200);
	signs_not = false;
	assert_int_equal(strange, 1);
	teardown_script(entry);
}

static void a_change_that_a_stranger_had_may_have_been_done(void **state)
{
	struct entry *entry = SCRIPT(UNSIGNED, ANOTHER);
	struct http_result result;

	(void)state;
	change(entry, &result);
	expect_call(entry, 0, false);
	expect_call(entry, 1, true);
	expect_here(&result, true);
	http_result_fini(&result);
	teardown_script(entry);
}

static void a_proxy_that_failed_once_is_asked_again(void **state)
{
	struct entry *entry = SCRIPT(UNSIGNED, ANSWER);
	struct http_result result;

	(void)state;
	change(entry, &result);
	assert_int_equal(result.status, 201);
	http_result_fini(&result);
	teardown_script(entry);
}

static void a_stranger_of_isolated_storage_is_503(void **state)
{
	struct entry *entry = SCRIPT(UNSIGNED, UNSIGNED, UNSIGNED, UNSIGNED);
	struct http_result result;

	(void)state;
	entry->snapshot.isolated = true;
	change(entry, &result);
	assert_int_equal(result.status, 503);
	http_result_fini(&result);
	assert_int_equal(ask_scripted(entry, "PATCH", "/x?scripted&held", STR("abc")), 503);
	assert_int_equal(ask_scripted(entry, "GET", "/x?scripted&held", STR_NONE), 503);
	teardown_script(entry);
}

static void the_proof_goes_no_further(void **state)
{
	struct entry *entry = setup();
	struct http_result result;
	struct error err;

	(void)state;
	assert_true(ask(entry, (struct http_call_spec){ 0 }, "/other", &result, &err));
	assert_int_equal(result.status, 404);
	assert_null(http_headers_find(result.headers, PEER_ANSWER_HEADER));
	http_result_fini(&result);
	assert_true(ask(entry, (struct http_call_spec){ 0 }, "/unsigned", &result, &err));
	assert_int_equal(result.status, 200);
	assert_string_equal(buf_text(&result.body), "here");
	http_result_fini(&result);
	teardown(entry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_and_body_go_through),
		cmocka_unit_test(headers_of_the_hop_stay_here),
		cmocka_unit_test(big_bodies_stream_both_ways),
		cmocka_unit_test(bodyless_answers_stay_so),
		cmocka_unit_test(the_unreachable_is_served_here),
		cmocka_unit_test(a_client_may_leave),
		cmocka_unit_test(a_change_without_an_answer_is_sent_again),
		cmocka_unit_test(a_change_without_a_body_too),
		cmocka_unit_test(a_silent_member_is_asked_again),
		cmocka_unit_test(what_nobody_answers_is_done_here),
		cmocka_unit_test(a_member_that_dies_with_it_may_have_done_it),
		cmocka_unit_test(a_ring_that_moved_meanwhile),
		cmocka_unit_test(what_was_never_sent_is_a_change_of_our_own),
		cmocka_unit_test(isolated_storage_says_that_it_is_unknown),
		cmocka_unit_test(isolated_storage_tries_twice),
		cmocka_unit_test(what_curl_repeats_is_the_same_call),
		cmocka_unit_test(it_dies_with_a_kept_connection),
		cmocka_unit_test(a_client_may_leave_between_the_two),
		cmocka_unit_test(a_call_that_is_not_believed_is_signed_anew),
		cmocka_unit_test(a_quarrel_is_no_401),
		cmocka_unit_test(a_call_that_was_used_may_have_been_done),
		cmocka_unit_test(reads_that_are_not_believed_are_served_here),
		cmocka_unit_test(what_nobody_else_can_serve_is_503),
		cmocka_unit_test(a_cut_answer_is_never_whole),
		cmocka_unit_test(what_is_no_answer_is_none),
		cmocka_unit_test(a_stranger_is_not_quoted),
		cmocka_unit_test(a_member_that_cannot_sign_is_heard),
		cmocka_unit_test(a_change_that_a_stranger_had_may_have_been_done),
		cmocka_unit_test(a_proxy_that_failed_once_is_asked_again),
		cmocka_unit_test(a_stranger_of_isolated_storage_is_503),
		cmocka_unit_test(the_proof_goes_no_further),
	};
	int status;

	http_client_init();
	log_init(LOG_ERROR, false);
	status = cmocka_run_group_tests(tests, NULL, NULL);
	http_client_fini();
	return status;
}
