/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_move: what becomes of a request for a repository that may lie elsewhere still. What moves.h decides is said by the tests.
 */
#include "tests/unit/worker/front/front_rig.h"

#include "common/log.h"
#include "worker/cluster/peer_question.h"
#include "worker/moves/moves.h"

/* ---- the stand-in for moves.h ---- */

static struct {
	atomic_bool is_ready, fails, holds; /* holds: moves_prepare() waits */
	const char *member;                 /* "": here */
	atomic_int asked, prepared;
	char name[256];
	enum moves_want wanted, wanted_ready;
	struct digest digest;
	char question[128];
} moving;

bool moves_is_ready(
	struct moves *moves, const struct snapshot *snapshot, struct str name, enum moves_want want)
{
	(void)moves;
	(void)snapshot;
	assert_true(str_copy(name, moving.name, sizeof(moving.name)));
	moving.wanted_ready = want;
	moving.asked++;
	return moving.is_ready;
}

bool moves_prepare(struct moves *moves, const struct moves_ask *ask, char ret_member[RING_MEMBER_ID_MAX + 1],
	struct error *err)
{
	(void)moves;
	assert_true(str_is(ask->name, moving.name));
	moving.wanted = ask->want;
	moving.digest = *ask->digest;
	moving.prepared++;
	while (moving.holds)
		(void)poll(NULL, 0, 2);
	if (moving.fails)
		return error_set(
			err, ERROR_UNAVAILABLE, NULL, "member two, which may have it, does not answer");
	return str_copy(str_of(moving.member), ret_member, RING_MEMBER_ID_MAX + 1);
}

unsigned moves_answer(struct moves *moves, const struct moves_question *question, struct buf *into)
{
	(void)moves;
	(void)snprintf(moving.question, sizeof(moving.question), "%s of %s, ring %s: %.*s",
		question->is_post ? "POST" : "GET", question->peer, question->ring ? "told" : "not told",
		STR_ARGS(question->query));
	buf_puts(into, "{\"done\":true}");
	return 409;
}

bool moves_tells(struct moves *moves, struct str name, const struct digest *digest)
{
	(void)moves;
	(void)name;
	(void)digest;
	return true;
}

struct moves_stats moves_stats(struct moves *moves)
{
	(void)moves;
	return (struct moves_stats){ 0 };
}

/* ---- two workers ---- */

struct fixture {
	struct front_rig *one, *two;
	struct http_result got;
	char digest[DIGEST_TEXT_SIZE], blob[200];
};

/* Both are in the ring of the first. */
static void join(struct front_rig *one, const struct front_rig *two)
{
	const struct ring_member members[] = { one->member, two->member };
	struct snapshot_rules rules = { 0 };
	uint8_t key[16] = { 3 };
	struct ring *ring;
	struct error err;

	assert_true(ring_new(&ring, 6, RING_MODULO, key, members, 2, &err));
	snapshot_free(TAKE(one->cluster.snapshot));
	assert_true(snapshot_new_plain(&one->cluster.snapshot, ring, 0, &rules, true, &err));
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	static char moves;

	memset(&moving, 0, sizeof(moving));
	moving.member = "";
	f->one = front_rig_open(&(struct front_rig_settings){ .self = "one", .isolated = true });
	f->two = front_rig_open(&(struct front_rig_settings){ .self = "two", .isolated = true });
	join(f->one, f->two);
	f->one->front.moves = (struct moves *)&moves;
	http_result_init(&f->got, 16);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_result_fini(&f->got);
	front_rig_close(f->one, true);
	front_rig_close(f->two, true);
	free(f);
	return 0;
}

static unsigned ask(struct fixture *f, const char *method, const char *path)
{
	http_result_fini(&f->got);
	rig_ask(f->one, method, path, STR_NONE, &f->got, NULL);
	return f->got.status;
}

/* "hello", at one of the two. */
static void put_blob(struct fixture *f, const struct front_rig *at)
{
	struct digest digest = digest_of(HASH_SHA256, STR("hello"));
	struct error err;

	digest_format(&digest, f->digest);
	(void)snprintf(f->blob, sizeof(f->blob), "/v2/moved/app/blobs/%s", f->digest);
	assert_true(store_blob_put(at->store, STR("moved/app"), &digest, STR("hello"), &err));
}

/* ---- tests ---- */

static void what_is_here_waits_for_nothing(void **state)
{
	struct fixture *f = *state;

	put_blob(f, f->one);
	moving.is_ready = true;
	assert_int_equal(ask(f, "GET", f->blob), 200);
	assert_string_equal(buf_text(&f->got.body), "hello");
	assert_int_equal(moving.asked, 1);
	assert_int_equal(moving.prepared, 0);
}

static void what_came_is_served_here(void **state)
{
	struct fixture *f = *state;

	put_blob(f, f->one);
	assert_int_equal(ask(f, "GET", f->blob), 200);
	assert_string_equal(buf_text(&f->got.body), "hello");
	assert_int_equal(moving.prepared, 1);
}

/* Its bytes are there still. */
static void a_blob_is_asked_for_where_it_is(void **state)
{
	struct fixture *f = *state;

	put_blob(f, f->two);
	assert_int_equal(ask(f, "GET", f->blob), 404);
	moving.member = "two";
	assert_int_equal(ask(f, "GET", f->blob), 200);
	assert_string_equal(buf_text(&f->got.body), "hello");
	assert_int_equal(moving.prepared, 2);
}

static void one_who_left_meanwhile_is_not_asked(void **state)
{
	struct fixture *f = *state;

	put_blob(f, f->one);
	moving.member = "three";
	assert_int_equal(ask(f, "GET", f->blob), 503);
	assert_non_null(strstr(buf_text(&f->got.body), "the members of the cluster change"));
}

static void what_cannot_be_known_is_refused(void **state)
{
	struct fixture *f = *state;

	put_blob(f, f->one);
	moving.fails = true;
	assert_int_equal(ask(f, "GET", f->blob), 503);
	assert_non_null(strstr(buf_text(&f->got.body), "member two, which may have it, does not answer"));
	assert_non_null(rig_header(&f->got, "Retry-After"));
}

static void each_request_says_what_it_wants(void **state)
{
	struct fixture *f = *state;
	char text[DIGEST_TEXT_SIZE];

	put_blob(f, f->one);
	(void)ask(f, "HEAD", f->blob);
	assert_int_equal(moving.wanted, MOVES_BLOB);
	assert_int_equal(moving.wanted_ready, MOVES_BLOB);
	digest_format(&moving.digest, text);
	assert_string_equal(text, f->digest);
	assert_string_equal(moving.name, "moved/app");
	(void)ask(f, "DELETE", f->blob);
	assert_int_equal(moving.wanted, MOVES_BLOB_DELETE);
	(void)ask(f, "GET", "/v2/moved/app/tags/list");
	assert_int_equal(moving.wanted, MOVES_INDEX);
	(void)ask(f, "GET", "/v2/moved/app/manifests/v1");
	assert_int_equal(moving.wanted, MOVES_INDEX);
	(void)ask(f, "POST", "/v2/moved/app/blobs/uploads/");
	assert_int_equal(moving.wanted, MOVES_INDEX);
	assert_int_equal(moving.prepared, 5);
}

/* They are of no repository, or of an upload, which stays where it began. */
static void other_requests_do_not_ask(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "GET", "/v2/"), 200);
	(void)ask(f, "GET", "/v2/_catalog");
	(void)ask(f, "GET", "/v2/moved/app/blobs/uploads/nothing");
	(void)ask(f, "GET", "/metrics");
	assert_int_equal(moving.asked, 0);
	f->one->front.moves = NULL;
	(void)ask(f, "GET", "/v2/moved/app/tags/list");
	assert_int_equal(moving.asked, 0);
}

static void a_client_that_leaves_takes_nothing_with_it(void **state)
{
	struct fixture *f = *state;
	char head[300];
	int fd = dial(f->one->http.port);

	put_blob(f, f->one);
	moving.holds = true;
	(void)snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", f->blob);
	put(fd, head);
	await(&moving.prepared, 1);
	(void)close(fd);
	moving.is_ready = true;
	assert_int_equal(ask(f, "GET", f->blob), 200);
	moving.holds = false;
}

/* What they ask each other: as a peer alone. */
static void members_are_answered(void **state)
{
	struct fixture *f = *state;
	AUTO(identity) *identity = identity_new_anonymous();
	const struct peer_question question = { .cluster = &f->two->cluster,
		.snapshot = f->two->cluster.snapshot,
		.identity = identity,
		.member = &f->one->member,
		.method = "POST",
		.target = MOVES_PATH "?take=moved%2Fapp",
		.body = STR("{}") };
	struct http_call_spec spec = { .has_body = true, .body_fd = -1 };
	struct peer_asked asked;
	struct error err;
	bool again;

	assert_true(peer_question_sign(&question, &asked, &spec, &err));
	http_result_fini(&f->got);
	http_result_init(&f->got, 1000);
	assert_true(http_send(&spec, &f->got, &err));
	assert_int_equal(f->got.status, 409);
	assert_string_equal(buf_text(&f->got.body), "{\"done\":true}");
	assert_string_equal(rig_header(&f->got, "Content-Type"), "application/json");
	assert_string_equal(moving.question, "POST of two, ring told: take=moved%2Fapp");
	assert_true(peer_question_answered(&question, &asked, f->got.status, f->got.headers, &again, &err));
	peer_asked_fini(&asked);
	moving.question[0] = '\0';
	assert_true(ask(f, "POST", MOVES_PATH "?take=moved%2Fapp") >= 400);
	assert_string_equal(moving.question, "");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_here_waits_for_nothing),
		TEST(what_came_is_served_here),
		TEST(a_blob_is_asked_for_where_it_is),
		TEST(one_who_left_meanwhile_is_not_asked),
		TEST(what_cannot_be_known_is_refused),
		TEST(each_request_says_what_it_wants),
		TEST(other_requests_do_not_ask),
		TEST(a_client_that_leaves_takes_nothing_with_it),
		TEST(members_are_answered),
	};
	int failed;

	http_client_init();
	log_init(LOG_ERROR, false);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_client_fini();
	return failed;
}
