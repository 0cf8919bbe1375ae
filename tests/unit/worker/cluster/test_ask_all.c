/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask_all: one question to members of a static cluster, who answer each in a way of its own. They are one server at several addresses of this machine, which
 * tells them apart by whom a call is signed for.
 */
#include "tests/unit/common/http_rig.h"

#include <stdlib.h>

#include "common/crypto.h"
#include "common/log.h"
#include "proto/digest.h"
#include "proto/peer_token.h"
#include "proto/ring.h"
#include "worker/auth/identity.h"
#include "worker/auth/peer_headers.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/ask_all.h"
#include "worker/cluster/cluster_new.h"

#define ANSWER_MAX 1000
#define LONG_MS    20000
#define SHORT_MS   100

/* The first is who asks; nobody listens at GONE. */
enum who {
	SELF,
	ANSWERS,
	ANSWERS_TOO,
	STRANGER,
	UNSIGNED,
	REFUSES_ONCE,
	REFUSES,
	TOO_LARGE,
	SILENT,
	GONE,
	MEMBERS
};

struct world {
	struct rig others, own;
	struct cluster *cluster;
	struct snapshot *snapshot;
	struct identity *identity;
	char urls[MEMBERS][32];
	const char *list[MEMBERS];
	char body[64]; /* that the last call had */
	atomic_int asked[MEMBERS];
	uint64_t sequence[2];        /* of the first two calls that were refused */
	atomic_int open;             /* calls that have not ended */
	struct http_request *silent; /* one that has no answer yet */
	/* What is asked, and what came of it. */
	const enum who *whom;
	size_t len;
	const char *method, *target, *sent;
	int64_t within_ms;
	struct ask_all *all;
	struct ask_all_answer *answers;
	bool started;
	atomic_int done;
};

/* ---- the members ---- */

static void sign_reply(struct world *world, struct http_request *request, const char *name)
{
	AUTO_FINI(buf) text = buf_limit(PEER_ANSWER_MAX);
	struct peer_answer answer = { .process = { 7 } };

	assert_true(str_copy(str_of(name), answer.name, sizeof(answer.name)));
	peer_answer_format(cluster_key(world->cluster), str_of(http_request_header(request, PEER_HEADER)),
		&answer, &text);
	http_request_reply_header(request, PEER_ANSWER_HEADER, buf_text(&text));
}

static void refuse(struct http_request *request)
{
	struct http_response *response = http_response_empty(401);

	http_response_header(response, PEER_REFUSED_HEADER, PEER_REFUSED);
	http_request_reply(request, response);
}

static void answer_as(
	struct world *world, struct http_request *request, enum who who, const struct peer_claims *claims)
{
	static const char large[ANSWER_MAX + 1];
	char text[300];
	int before = world->asked[who]++;

	(void)snprintf(
		text, sizeof(text), "%s, asked by %s of %s", claims->receiver, claims->user, claims->sender);
	switch (who) {
	case STRANGER:
		sign_reply(world, request, "member 2 of 10");
		break;
	case REFUSES_ONCE:
		if (before < 2)
			world->sequence[before] = claims->sequence;
		if (!before) {
			refuse(request);
			return;
		}
		sign_reply(world, request, claims->receiver);
		break;
	case REFUSES:
		refuse(request);
		return;
	case TOO_LARGE:
		sign_reply(world, request, claims->receiver);
		http_request_reply(request, http_response_copy(200, str_from(large, sizeof(large))));
		return;
	case SILENT:
		world->silent = request;
		return;
	case UNSIGNED:
		break;
	default:
		sign_reply(world, request, claims->receiver);
	}
	http_request_reply(request, http_response_copy(who == ANSWERS_TOO ? 404 : 200, str_of(text)));
}

static void on_body(void *arg, struct http_request *request, struct str body, const struct error *err)
{
	struct world *world = arg;
	AUTO_FINI(buf) lines = buf_limit(65536);
	struct peer_request asked = { .method = str_of(http_method_name(http_request_method(request))),
		.target = http_request_target(request),
		.length = (int64_t)body.len };
	struct digest digest = digest_of(HASH_SHA256, body);
	struct peer_claims claims;
	struct error why;
	struct str rest;
	uint64_t number;

	assert_null(err);
	peer_signed_request(request, &lines);
	asked.headers = buf_str(&lines);
	if (!peer_token_parse(cluster_key(world->cluster), &asked,
		    str_of(http_request_header(request, PEER_HEADER)), &claims, &why))
		fail_msg("%s", why.text);
	assert_int_equal(claims.has_digest, body.len > 0);
	if (body.len)
		assert_memory_equal(claims.digest, digest.raw, sizeof(claims.digest));
	assert_true(str_copy(body, world->body, sizeof(world->body)));
	rest = str_of(claims.receiver);
	assert_true(str_skip(&rest, "member ") && str_number(&rest, MEMBERS, &number));
	answer_as(world, request, (enum who)(number - 1), &claims);
	peer_claims_fini(&claims);
}

static void on_member(void *app, struct http_request *request)
{
	struct world *world = app;

	world->open++;
	http_request_collect(request, sizeof(world->body) - 1, on_body, world);
}

static void on_member_done(void *app, struct http_request *request)
{
	struct world *world = app;

	(void)request;
	world->open--;
}

/* Nobody waits for it any more. */
static void answer_at_last(void *arg)
{
	struct world *world = arg;

	if (world->silent)
		http_request_reply(TAKE(world->silent), http_response_empty(204));
}

/* ---- who asks ---- */

static void never(void *app, struct http_request *request)
{
	(void)app;
	http_request_reply(request, http_response_empty(500));
}

static void never_done(void *app, struct http_request *request)
{
	(void)app;
	(void)request;
}

static void address_members(struct world *world, uint16_t port)
{
	uint16_t gone = 0;
	int fd;

	assert_true(http_listen("127.0.0.1", 0, false, &fd, &gone, NULL));
	(void)close(fd);
	for (int i = 0; i < MEMBERS; i++) {
		(void)snprintf(world->urls[i], sizeof(world->urls[i]), "127.0.0.%d:%u", i + 1,
			i == SELF ? world->own.port : port);
		world->list[i] = world->urls[i];
	}
	(void)snprintf(world->urls[GONE], sizeof(world->urls[GONE]), "127.0.0.1:%u", gone);
}

static int set_up(void **state)
{
	struct world *world = xnew(struct world);
	struct http_server_settings settings = { .listen_fd = -1 };
	struct member_settings members = { .members = { world->list, MEMBERS },
		.hash_key = "loremipsumdolors",
		.secret = "0123456789abcdef0123456789abcdef" };
	uint16_t port = 0, own = 0;
	struct error err;

	assert_true(http_listen("0.0.0.0", 0, false, &settings.listen_fd, &port, &err));
	rig_open(&world->others, settings, (struct http_app){ world, on_member, on_member_done, NULL });
	rig_open(&world->own, rig_listen(&own, false), (struct http_app){ NULL, never, never_done, NULL });
	address_members(world, port);
	if (!cluster_new(&world->cluster, &members, own, &err))
		fail_msg("%s", err.text);
	world->snapshot = cluster_snapshot(world->cluster);
	world->identity = identity_new_user(STR("ann"), NULL, NULL);
	world->method = "GET";
	world->target = "/v2/_catalog?n=5";
	world->within_ms = LONG_MS;
	rig_run(&world->others);
	rig_run(&world->own);
	*state = world;
	return 0;
}

static void drop_answers(struct world *world)
{
	for (size_t i = 0; world->answers && i < world->len; i++)
		free(world->answers[i].body);
	free(TAKE(world->answers));
}

static int tear_down(void **state)
{
	struct world *world = *state;

	loop_post(world->others.loop, answer_at_last, world);
	await(&world->open, 0);
	rig_close(&world->own);
	rig_close(&world->others);
	drop_answers(world);
	identity_free(world->identity);
	snapshot_free(world->snapshot);
	cluster_free(world->cluster);
	free(world);
	return 0;
}

static void on_all(void *arg, struct ask_all_answer *answers, size_t len)
{
	struct world *world = arg;

	assert_true(world->started);
	assert_int_equal(len, world->len);
	world->answers = xnew_array(struct ask_all_answer, len + 1);
	for (size_t i = 0; i < len; i++) {
		world->answers[i] = answers[i];
		answers[i].body = NULL;
	}
	world->done++;
}

/* All that is handed in is gone when the answers come. */
static void start(void *arg)
{
	struct world *world = arg;
	const struct ring_member **members = xnew_array(const struct ring_member *, world->len + 1);
	AUTO_STR *method = str_dup(str_of(world->method)), *target = str_dup(str_of(world->target)),
		 *sent = str_dup(str_of(world->sent));
	const struct ask_all_spec spec = { .loop = world->own.loop,
		.client = world->own.client,
		.question = { .cluster = world->cluster,
			.snapshot = world->snapshot,
			.identity = world->identity,
			.method = method,
			.target = target,
			.body = str_of(sent) },
		.members = members,
		.members_len = world->len,
		.answer_max = ANSWER_MAX,
		.within_ms = world->within_ms };

	for (size_t i = 0; i < world->len; i++)
		members[i] = ring_at(world->snapshot->ring, world->whom[i]);
	world->started = false;
	world->all = ask_all_start(&spec, on_all, world);
	world->started = true;
	free(members);
	memset(method, 'x', strlen(method));
	memset(target, 'x', strlen(target));
	memset(sent, 'x', strlen(sent));
}

static void begin(struct world *world, const enum who *whom, size_t len)
{
	drop_answers(world);
	world->whom = whom;
	world->len = len;
	world->done = 0;
	loop_post(world->own.loop, start, world);
}

#define ASK(world, ...)                                                                                      \
	do {                                                                                                 \
		static const enum who whom_[] = { __VA_ARGS__ };                                             \
		begin(world, whom_, sizeof(whom_) / sizeof(whom_[0]));                                       \
		await(&(world)->done, 1);                                                                    \
	} while (0)

static struct str id_of(const struct world *world, enum who who)
{
	return str_of(ring_at(world->snapshot->ring, who)->id);
}

/* ---- tests ---- */

static void expect(const struct world *world, size_t at, unsigned status, const char *body)
{
	const struct ask_all_answer *answer = &world->answers[at];

	if (!answer->answered)
		fail_msg("%s", answer->err.text);
	assert_ptr_equal(answer->member, ring_at(world->snapshot->ring, world->whom[at]));
	assert_int_equal(answer->status, status);
	assert_string_equal(answer->body, body);
	assert_int_equal(answer->body_len, strlen(body));
}

static void refused(const struct world *world, size_t at, enum error_kind kind, const char *why)
{
	const struct ask_all_answer *answer = &world->answers[at];

	assert_false(answer->answered);
	assert_null(answer->body);
	if (answer->err.kind != kind || !strstr(answer->err.text, why))
		fail_msg("%s: %s", error_kind_name(answer->err.kind), answer->err.text);
}

static void all_answer_in_the_order_of_the_members(void **state)
{
	struct world *world = *state;

	ASK(world, ANSWERS_TOO, ANSWERS);
	expect(world, 0, 404, "member 3 of 10, asked by ann of member 1 of 10");
	expect(world, 1, 200, "member 2 of 10, asked by ann of member 1 of 10");
	/* Who asks nobody is told so, later too. */
	begin(world, NULL, 0);
	await(&world->done, 1);
}

static void a_body_goes_to_each(void **state)
{
	struct world *world = *state;

	world->method = "POST";
	world->target = "/cluster/blobs";
	world->sent = "which of these";
	ASK(world, ANSWERS, ANSWERS_TOO);
	expect(world, 0, 200, "member 2 of 10, asked by ann of member 1 of 10");
	assert_string_equal(world->body, "which of these");
}

static void who_does_not_answer_is_told_why(void **state)
{
	struct world *world = *state;

	ASK(world, STRANGER, UNSIGNED, TOO_LARGE, REFUSES, GONE, ANSWERS);
	refused(world, 0, ERROR_INTERNAL, "not as that member");
	refused(world, 1, ERROR_INTERNAL, "not as that member");
	refused(world, 2, ERROR_TOO_LARGE, "");
	refused(world, 3, ERROR_DENIED, "does not believe this worker");
	refused(world, 4, ERROR_UNAVAILABLE, "");
	expect(world, 5, 200, "member 2 of 10, asked by ann of member 1 of 10");
	assert_int_equal(world->asked[REFUSES], 2);
	assert_int_equal(world->asked[STRANGER], 1);
	/* What the cluster knows now. */
	assert_true(cluster_peer_is_failed(world->cluster, id_of(world, GONE)));
	assert_true(cluster_peer_is_failed(world->cluster, id_of(world, STRANGER)));
	assert_false(cluster_peer_is_failed(world->cluster, id_of(world, TOO_LARGE)));
	assert_false(cluster_peer_is_failed(world->cluster, id_of(world, ANSWERS)));
}

static void who_is_known_to_be_away_is_not_asked(void **state)
{
	struct world *world = *state;

	cluster_peer_failed(world->cluster, id_of(world, ANSWERS));
	ASK(world, ANSWERS, ANSWERS_TOO);
	refused(world, 0, ERROR_UNAVAILABLE, "a moment ago");
	expect(world, 1, 404, "member 3 of 10, asked by ann of member 1 of 10");
	assert_int_equal(world->asked[ANSWERS], 0);
}

static void who_did_not_believe_is_asked_anew_once(void **state)
{
	struct world *world = *state;

	ASK(world, REFUSES_ONCE);
	expect(world, 0, 200, "member 6 of 10, asked by ann of member 1 of 10");
	assert_int_equal(world->asked[REFUSES_ONCE], 2);
	/* A token is for one use. */
	assert_int_not_equal(world->sequence[0], world->sequence[1]);
}

/* It may be quick with all else. */
static void who_is_silent_ends_the_wait_and_nothing_more(void **state)
{
	struct world *world = *state;

	world->within_ms = SHORT_MS;
	ASK(world, SILENT);
	refused(world, 0, ERROR_TIMEOUT, "");
	assert_false(cluster_peer_is_failed(world->cluster, id_of(world, SILENT)));
}

static void cancel(void *arg)
{
	struct world *world = arg;

	ask_all_cancel(world->all);
	world->len = 0;
	world->whom = NULL;
	start(world);
}

static void nobody_is_told_of_what_was_cancelled(void **state)
{
	static const enum who silent[] = { SILENT };
	struct world *world = *state;

	begin(world, silent, 1);
	await(&world->asked[SILENT], 1);
	assert_int_equal(world->done, 0);
	loop_post(world->own.loop, cancel, world);
	/* That of the question behind it. */
	await(&world->done, 1);
	loop_post(world->others.loop, answer_at_last, world);
	await(&world->open, 0);
	ASK(world, ANSWERS);
	expect(world, 0, 200, "member 2 of 10, asked by ann of member 1 of 10");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_answer_in_the_order_of_the_members),
		TEST(a_body_goes_to_each),
		TEST(who_does_not_answer_is_told_why),
		TEST(who_is_known_to_be_away_is_not_asked),
		TEST(who_did_not_believe_is_asked_anew_once),
		TEST(who_is_silent_ends_the_wait_and_nothing_more),
		TEST(nobody_is_told_of_what_was_cancelled),
	};
	int failed;

	http_client_init();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_client_fini();
	return failed;
}
