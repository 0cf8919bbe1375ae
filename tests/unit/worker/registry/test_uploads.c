/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions are held by one at a time, looked at by all, and end once. One owner's do not stand in the way of
 * another's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "tests/unit/in_folder.h"
#include "worker/registry/uploads.h"
#include "worker/storage/spool.h"

#define SPOOL_BYTES 1000
#define LONG_MS     (2 * (int64_t)UPLOAD_IDLE_MS)

static char folder[] = "/tmp/test_uploads.XXXXXX";
static struct spool *spool;

static struct uploads *uploads_with(struct uploads_bounds bounds)
{
	return uploads_new(&(struct uploads_settings){ .spool = spool, .self = "here", .bounds = bounds });
}

static int setup(void **state)
{
	if (!spool_open(&spool, folder, SPOOL_BYTES, false, NULL))
		return -1;
	*state = uploads_with((struct uploads_bounds){
		.sessions = 8, .sessions_each = 5, .files = 8, .share = 50, .evict_idle_ms = 0 });
	return 0;
}

static int teardown(void **state)
{
	uploads_free(*state);
	assert_int_equal(spool_used(spool), 0);
	spool_free(spool);
	return 0;
}

static struct upload *open_by(struct uploads *uploads, const char *owner)
{
	struct upload *upload = NULL;
	struct error err;

	if (!uploads_open(uploads, str_of(owner), STR("a"), HASH_SHA256, &upload, &err))
		fail_msg("%s", err.text);
	return upload;
}

static struct upload *open_one(struct uploads *uploads, struct upload_id *ret_id)
{
	struct upload *upload = open_by(uploads, "user x");

	*ret_id = upload->id;
	return upload;
}

static void fill(struct upload *upload, size_t len)
{
	AUTO_STR *bytes = xnew_array(char, len + 1);
	struct error err;

	if (!upload_append(upload, bytes, len, &err))
		fail_msg("%s", err.text);
}

static void expect_refused(struct upload *upload, size_t len, enum error_kind kind, const char *code)
{
	AUTO_STR *bytes = xnew_array(char, len + 1);
	uint64_t before = upload->size;
	struct error err = { 0 };

	assert_false(upload_append(upload, bytes, len, &err));
	assert_int_equal(err.kind, kind);
	if (code)
		assert_string_equal(err.code, code);
	else
		assert_null(err.code);
	assert_int_equal(upload->size, before);
}

static bool is_there(struct uploads *uploads, const struct upload_id *id)
{
	struct upload_id here;
	uint64_t size;

	return uploads_look(uploads, STR("a"), id, &size, &here, NULL);
}

static void one_holds_at_a_time(void **state)
{
	struct uploads *uploads = *state;
	struct upload *again = NULL;
	struct upload_id id;
	struct error err;
	uint64_t size = 1;
	struct upload *upload = open_one(uploads, &id);

	assert_string_equal(id.worker, "here");
	assert_false(uploads_acquire(uploads, STR("a"), &id, &again, &err));
	assert_string_equal(err.code, "BLOB_UPLOAD_INVALID");
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_true(uploads_look(uploads, STR("a"), &id, &size, &id, &err));
	assert_int_equal(size, 0);
	fill(upload, 5);
	assert_true(uploads_look(uploads, STR("a"), &id, &size, &id, &err));
	assert_int_equal(size, 5);
	upload_release(upload);
	assert_true(uploads_acquire(uploads, STR("a"), &id, &again, &err));
	assert_ptr_equal(again, upload);
	upload_end(again);
	assert_false(uploads_acquire(uploads, STR("a"), &id, &again, &err));
	assert_string_equal(err.code, "BLOB_UPLOAD_UNKNOWN");
	assert_int_equal(uploads_stats(uploads).open, 0);
}

static void another_repository_does_not_see_it(void **state)
{
	struct uploads *uploads = *state;
	struct upload *again = NULL;
	struct upload_id id;
	struct error err;
	uint64_t size;

	upload_release(open_one(uploads, &id));
	assert_false(uploads_look(uploads, STR("b"), &id, &size, &id, &err));
	assert_false(uploads_acquire(uploads, STR("b"), &id, &again, &err));
	assert_false(uploads_cancel(uploads, STR("b"), &id, &err));
	assert_int_equal(uploads_stats(uploads).open, 1);
}

/* Who holds a cancelled session finds out by letting it go. */
static void a_held_one_is_cancelled_later(void **state)
{
	struct uploads *uploads = *state;
	struct upload_id id;
	struct error err;
	struct upload *upload = open_one(uploads, &id);

	assert_true(uploads_cancel(uploads, STR("a"), &id, &err));
	assert_false(is_there(uploads, &id));
	assert_false(uploads_cancel(uploads, STR("a"), &id, &err));
	assert_int_equal(uploads_stats(uploads).open, 1);
	upload_release(upload);
	assert_int_equal(uploads_stats(uploads).open, 0);
}

static void the_abandoned_end(void **state)
{
	struct uploads *uploads = *state;
	struct upload_id held_id, idle_id;
	struct upload *held = open_one(uploads, &held_id);

	upload_release(open_one(uploads, &idle_id));
	uploads_expire(uploads, clock_ms());
	assert_int_equal(uploads_stats(uploads).open, 2);
	uploads_expire(uploads, clock_ms() + LONG_MS);
	assert_int_equal(uploads_stats(uploads).open, 1);
	upload_release(held);
	uploads_expire(uploads, clock_ms() + LONG_MS);
	assert_int_equal(uploads_stats(uploads).open, 0);
}

static void one_without_a_byte_ends_sooner(void **state)
{
	struct uploads *uploads = *state;
	struct upload_id empty_id, filled_id;
	struct upload *filled;

	upload_release(open_one(uploads, &empty_id));
	filled = open_one(uploads, &filled_id);
	fill(filled, 1);
	upload_release(filled);
	assert_int_equal(uploads_stats(uploads).empty, 1);
	uploads_expire(uploads, clock_ms() + UPLOAD_EMPTY_IDLE_MS + 1000);
	assert_false(is_there(uploads, &empty_id));
	assert_true(is_there(uploads, &filled_id));
	uploads_expire(uploads, clock_ms() + UPLOAD_IDLE_MS + 1000);
	assert_int_equal(uploads_stats(uploads).open, 0);
	assert_int_equal(uploads_stats(uploads).owners, 0);
}

static void an_owner_over_its_bound_is_refused_and_others_go_on(void **state)
{
	struct uploads *uploads = *state;
	struct upload *upload = NULL;
	struct upload_id id;
	struct error err;

	for (unsigned i = 0; i < 5; i++)
		upload_release(open_one(uploads, &id));
	assert_false(uploads_open(uploads, STR("user x"), STR("b"), HASH_SHA256, &upload, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_string_equal(err.code, "TOOMANYREQUESTS");
	assert_int_equal(uploads_stats(uploads).refused, 1);
	upload_release(open_by(uploads, "user y"));
	assert_int_equal(uploads_stats(uploads).owners, 2);
	assert_true(uploads_cancel(uploads, STR("a"), &id, NULL));
	upload_release(open_by(uploads, "user x"));
}

/* It is refused before anybody is asked to make room for it. */
static void one_over_its_bound_pushes_nobody_out(void **state)
{
	struct uploads *uploads = *state;
	struct upload *upload = NULL;
	struct error err;

	for (unsigned i = 0; i < 8; i++)
		upload_release(open_by(uploads, i < 3 ? "b" : "a"));
	assert_true(uploads_stats(uploads).full);
	assert_false(uploads_open(uploads, STR("a"), STR("a"), HASH_SHA256, &upload, &err));
	assert_string_equal(err.code, "TOOMANYREQUESTS");
	assert_int_equal(uploads_stats(uploads).open, 8);
	assert_int_equal(uploads_stats(uploads).evicted, 0);
}

static void when_full_the_oldest_without_a_byte_goes(void **state)
{
	struct uploads *uploads = *state;
	struct upload *filled = open_by(uploads, "a"), *held = open_by(uploads, "a"), *none = NULL;
	struct upload_id ids[6];
	struct error err;

	fill(filled, 1);
	upload_release(filled);
	for (unsigned i = 0; i < 6; i++) {
		struct upload *upload = open_by(uploads, i < 3 ? "b" : "c");
		ids[i] = upload->id;
		upload_release(upload);
	}
	assert_true(uploads_stats(uploads).full);
	/* Looked at, it is not the oldest any more. */
	assert_true(is_there(uploads, &ids[0]));
	upload_release(open_by(uploads, "d"));
	assert_int_equal(uploads_stats(uploads).open, 8);
	assert_int_equal(uploads_stats(uploads).evicted, 1);
	assert_false(is_there(uploads, &ids[1]));
	assert_true(is_there(uploads, &ids[0]));
	for (unsigned i = 0; i < 6; i++) {
		struct upload *upload = open_by(uploads, i < 3 ? "e" : "f");
		fill(upload, 1);
		upload_release(upload);
	}
	assert_false(uploads_open(uploads, STR("g"), STR("a"), HASH_SHA256, &none, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_null(err.code);
	upload_release(held);
}

static void the_spool_has_a_share_for_others(void **state)
{
	struct uploads *uploads = *state;
	struct upload *first = open_by(uploads, "a"), *second = open_by(uploads, "a"),
		      *other = open_by(uploads, "b");

	expect_refused(first, 501, ERROR_FULL, NULL);
	fill(first, 400);
	expect_refused(second, 101, ERROR_BUSY, "TOOMANYREQUESTS");
	fill(second, 100);
	fill(other, 400);
	assert_int_equal(uploads_stats(uploads).refused, 2);
	upload_end(second);
	fill(first, 100);
	upload_release(first);
	upload_end(other);
}

/* Half uploads of a build that was killed do not keep the next one out. */
static void its_own_idle_ones_make_room(void **state)
{
	struct uploads *uploads = *state;
	struct upload *oldest = open_by(uploads, "a"), *older = open_by(uploads, "a"),
		      *now = open_by(uploads, "a");
	struct upload_id oldest_id = oldest->id, older_id = older->id;

	fill(oldest, 200);
	fill(older, 200);
	upload_release(oldest);
	upload_release(older);
	fill(now, 300);
	assert_false(is_there(uploads, &oldest_id));
	assert_true(is_there(uploads, &older_id));
	assert_int_equal(spool_used(spool), 500);
	upload_end(now);
}

static void of_who_holds_most_goes_first_when_it_is_full(void **state)
{
	struct uploads *uploads = uploads_with((struct uploads_bounds){
		.sessions = 8, .sessions_each = 5, .files = 8, .share = 100, .evict_idle_ms = 0 });
	struct upload *little = open_by(uploads, "a"), *much = open_by(uploads, "b"),
		      *more = open_by(uploads, "b"), *now = open_by(uploads, "c");
	struct upload_id little_id = little->id, much_id = much->id, more_id = more->id;

	(void)state;
	fill(little, 100);
	upload_release(little);
	fill(much, 400);
	fill(more, 400);
	upload_release(much);
	upload_release(more);
	fill(now, 300);
	assert_true(is_there(uploads, &little_id));
	assert_false(is_there(uploads, &much_id));
	assert_true(is_there(uploads, &more_id));
	assert_int_equal(uploads_stats(uploads).evicted, 1);
	assert_int_equal(spool_used(spool), 800);
	upload_release(now);
	uploads_free(uploads);
}

static void who_is_at_work_keeps_its_bytes(void **state)
{
	struct uploads *uploads = uploads_with((struct uploads_bounds){
		.sessions = 8, .sessions_each = 5, .files = 8, .share = 100, .evict_idle_ms = LONG_MS });
	struct upload *held = open_by(uploads, "a"), *paused = open_by(uploads, "a"),
		      *now = open_by(uploads, "b");

	(void)state;
	fill(held, 500);
	fill(paused, 400);
	upload_release(paused);
	expect_refused(now, 200, ERROR_FULL, NULL);
	fill(now, 100);
	assert_int_equal(uploads_stats(uploads).evicted, 0);
	upload_release(held);
	upload_release(now);
	uploads_free(uploads);
}

static void files_are_shared_too(void **state)
{
	struct uploads *uploads = uploads_with((struct uploads_bounds){
		.sessions = 8, .sessions_each = 8, .files = 4, .share = 50, .evict_idle_ms = LONG_MS });
	struct upload *all[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		all[i] = open_by(uploads, i < 3 ? "a" : "b");
	for (unsigned i = 0; i < 6; i++)
		if (i % 3 == 2)
			expect_refused(all[i], 1, ERROR_BUSY, "TOOMANYREQUESTS");
		else
			fill(all[i], 1);
	assert_true(uploads_stats(uploads).full);
	upload_end(all[2]);
	all[2] = open_by(uploads, "c");
	expect_refused(all[2], 1, ERROR_BUSY, NULL);
	upload_end(all[0]);
	fill(all[2], 1);
	for (unsigned i = 1; i < 6; i++)
		upload_release(all[i]);
	uploads_free(uploads);
}

static void those_that_are_open_go_on_when_no_more_are_begun(void **state)
{
	struct uploads *uploads = *state;
	struct upload *upload;
	struct upload_id id;
	struct error err;
	int64_t begin = clock_ms();

	assert_false(uploads_are_moving(uploads, begin));
	upload = open_one(uploads, &id);
	assert_true(uploads_are_moving(uploads, INT64_MAX)); /* it is held */
	upload_release(upload);
	uploads_close(uploads);
	assert_false(uploads_open(uploads, STR("me"), STR("a"), HASH_SHA256, &upload, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_true(uploads_are_moving(uploads, begin));
	assert_false(uploads_are_moving(uploads, clock_ms() + 1));
	assert_true(uploads_acquire(uploads, STR("a"), &id, &upload, &err));
	fill(upload, 5);
	upload_release(upload);
	assert_true(uploads_are_moving(uploads, begin));
	assert_true(uploads_acquire(uploads, STR("a"), &id, &upload, &err));
	upload_end(upload);
	assert_false(uploads_are_moving(uploads, begin));
}

/* ---- sessions that move ---- */

static struct upload *adopt(struct uploads *uploads, const char *owner, const struct upload_id *id)
{
	struct upload *upload = NULL;
	struct error err;

	if (!uploads_adopt(uploads, str_of(owner), STR("a"), id, &upload, &err))
		fail_msg("%s", err.text);
	assert_true(upload_is_coming(upload));
	return upload;
}

static bool give(struct uploads *uploads, const struct upload_id *id, const char *to, struct error *err)
{
	enum hash_kind alg = HASH_SHA512;
	struct upload_id there;

	upload_id_at(id, to, &there);
	if (!uploads_give(uploads, STR("a"), id, &there, &alg, err))
		return false;
	assert_int_equal(alg, HASH_SHA256);
	return true;
}

static enum upload_at where(struct uploads *uploads, const struct upload_id *id, const char *holder)
{
	struct upload_id moved = { 0 };
	enum upload_at at = uploads_where(uploads, STR("a"), id, &moved);

	if (at == UPLOAD_MOVED)
		assert_string_equal(moved.worker, holder);
	return at;
}

static void one_without_a_byte_goes_once(void **state)
{
	struct uploads *uploads = *state;
	struct upload *again = NULL;
	struct upload_id id, other;
	struct error err;

	upload_id_new("here", HASH_SHA256, &other);
	upload_release(open_one(uploads, &id));
	assert_int_equal(where(uploads, &id, NULL), UPLOAD_HERE);
	assert_false(uploads_give(uploads, STR("a"), &id, &other, &(enum hash_kind){ 0 }, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	assert_true(give(uploads, &id, "there", &err));
	assert_int_equal(where(uploads, &id, "there"), UPLOAD_MOVED);
	assert_int_equal(uploads_where(uploads, STR("b"), &id, &other), UPLOAD_NOT_HERE);
	assert_int_equal(uploads_stats(uploads).open, 0);
	assert_int_equal(uploads_stats(uploads).empty, 0);
	assert_false(give(uploads, &id, "elsewhere", &err));
	assert_string_equal(err.code, "BLOB_UPLOAD_UNKNOWN");
	assert_false(uploads_acquire(uploads, STR("a"), &id, &again, &err));
	assert_false(uploads_cancel(uploads, STR("a"), &id, &err));
	assert_false(is_there(uploads, &id));
	assert_int_equal(where(uploads, &id, "there"), UPLOAD_MOVED);
	uploads_expire(uploads, clock_ms() + UPLOAD_EMPTY_IDLE_MS + 1000);
	assert_int_equal(where(uploads, &id, "there"), UPLOAD_MOVED);
	uploads_expire(uploads, clock_ms() + LONG_MS);
	assert_int_equal(where(uploads, &id, NULL), UPLOAD_NOT_HERE);
	assert_int_equal(uploads_stats(uploads).owners, 0);
}

static void one_with_bytes_or_at_work_stays(void **state)
{
	struct uploads *uploads = *state;
	struct upload_id id;
	struct error err;
	struct upload *upload = open_one(uploads, &id);

	assert_false(give(uploads, &id, "there", &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	fill(upload, 1);
	upload_release(upload);
	assert_false(give(uploads, &id, "there", &err));
	assert_string_equal(err.code, "BLOB_UPLOAD_INVALID");
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_true(uploads_cancel(uploads, STR("a"), &id, &err));
	assert_false(give(uploads, &id, "there", &err));
	assert_string_equal(err.code, "BLOB_UPLOAD_UNKNOWN");
}

static void one_that_comes_is_nobody_elses(void **state)
{
	struct uploads *uploads = *state;
	struct upload *upload, *again = NULL;
	struct upload_id id, here;
	struct error err;
	uint64_t size;

	upload_id_new("there", HASH_SHA256, &id);
	upload = adopt(uploads, "a", &id);
	assert_int_equal(where(uploads, &id, NULL), UPLOAD_HERE);
	assert_false(uploads_look(uploads, STR("a"), &id, &size, &here, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_false(uploads_cancel(uploads, STR("a"), &id, &err));
	assert_false(uploads_acquire(uploads, STR("a"), &id, &again, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_false(uploads_adopt(uploads, STR("a"), STR("a"), &id, &again, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
	assert_false(give(uploads, &id, "there", &err));
	upload_adopted(upload, HASH_SHA512);
	assert_false(upload_is_coming(upload));
	assert_string_equal(upload->id.worker, "here");
	assert_int_equal(upload->alg, HASH_SHA512);
	fill(upload, 3);
	upload_release(upload);
	/* By its old name, too. */
	assert_true(uploads_look(uploads, STR("a"), &id, &size, &here, &err));
	assert_int_equal(size, 3);
	assert_string_equal(here.worker, "here");
	upload = adopt(uploads, "a", &(struct upload_id){ .text = "00000000000000000000000000000000-dA" });
	upload_not_adopted(upload);
	assert_int_equal(uploads_stats(uploads).open, 1);
}

static void one_may_come_back(void **state)
{
	struct uploads *uploads = *state;
	struct upload *upload;
	struct upload_id id;
	struct error err;

	upload_release(open_one(uploads, &id));
	assert_true(give(uploads, &id, "there", &err));
	upload_not_adopted(adopt(uploads, "user y", &id));
	assert_int_equal(where(uploads, &id, "there"), UPLOAD_MOVED);
	assert_int_equal(uploads_stats(uploads).open, 0);
	upload = adopt(uploads, "user y", &id);
	upload_adopted(upload, HASH_SHA256);
	assert_string_equal(upload->id.text, id.text);
	fill(upload, 2);
	upload_release(upload);
	assert_int_equal(uploads_stats(uploads).open, 1);
	assert_int_equal(uploads_stats(uploads).owners, 1);
}

/* Of an owner at its bound the oldest, and of all when the table is full. */
static void those_that_moved_make_room(void **state)
{
	struct uploads *uploads = *state;
	struct upload_id moved[3], id;
	struct error err;

	for (unsigned i = 0; i < 3; i++) {
		upload_release(open_one(uploads, &moved[i]));
		assert_true(give(uploads, &moved[i], "there", &err));
	}
	upload_release(open_one(uploads, &id));
	upload_release(open_one(uploads, &id));
	upload_release(open_one(uploads, &id));
	assert_int_equal(where(uploads, &moved[0], NULL), UPLOAD_NOT_HERE);
	assert_int_equal(where(uploads, &moved[1], "there"), UPLOAD_MOVED);
	for (unsigned i = 0; i < 3; i++)
		upload_release(open_by(uploads, "user y"));
	assert_false(uploads_stats(uploads).full);
	upload_release(open_by(uploads, "user z"));
	assert_int_equal(where(uploads, &moved[2], NULL), UPLOAD_NOT_HERE);
	assert_int_equal(where(uploads, &moved[1], "there"), UPLOAD_MOVED);
	upload_release(open_one(uploads, &id));
	assert_int_equal(where(uploads, &moved[1], NULL), UPLOAD_NOT_HERE);
	assert_int_equal(uploads_stats(uploads).evicted, 0);
}

static void those_that_come_are_bounded_as_those_that_are_opened(void **state)
{
	struct uploads *uploads = uploads_with((struct uploads_bounds){
		.sessions = 8, .sessions_each = 1, .files = 8, .share = 100, .evict_idle_ms = 0 });
	struct upload *upload = NULL;
	struct upload_id id;
	struct error err;

	(void)state;
	upload_release(open_by(uploads, "user x"));
	upload_id_new("there", HASH_SHA256, &id);
	assert_false(uploads_adopt(uploads, STR("user x"), STR("a"), &id, &upload, &err));
	assert_string_equal(err.code, "TOOMANYREQUESTS");
	upload_not_adopted(adopt(uploads, "user y", &id));
	uploads_close(uploads);
	assert_false(uploads_adopt(uploads, STR("user y"), STR("a"), &id, &upload, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	uploads_free(uploads);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH(one_holds_at_a_time),
		WITH(another_repository_does_not_see_it),
		WITH(a_held_one_is_cancelled_later),
		WITH(the_abandoned_end),
		WITH(one_without_a_byte_ends_sooner),
		WITH(an_owner_over_its_bound_is_refused_and_others_go_on),
		WITH(one_over_its_bound_pushes_nobody_out),
		WITH(when_full_the_oldest_without_a_byte_goes),
		WITH(the_spool_has_a_share_for_others),
		WITH(its_own_idle_ones_make_room),
		WITH(of_who_holds_most_goes_first_when_it_is_full),
		WITH(who_is_at_work_keeps_its_bytes),
		WITH(files_are_shared_too),
		WITH(those_that_are_open_go_on_when_no_more_are_begun),
		WITH(one_without_a_byte_goes_once),
		WITH(one_with_bytes_or_at_work_stays),
		WITH(one_that_comes_is_nobody_elses),
		WITH(one_may_come_back),
		WITH(those_that_moved_make_room),
		WITH(those_that_come_are_bounded_as_those_that_are_opened),
	};

	return RUN_IN_FOLDER(folder, tests);
}
