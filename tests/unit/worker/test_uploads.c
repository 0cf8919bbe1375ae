/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions are held by one at a time, looked at by all, and end once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "worker/cluster/cluster.h"
#include "worker/oci/uploads.h"
#include "worker/worker.h"

const char *cluster_self(const struct cluster *cluster)
{
	(void)cluster;
	return "here";
}

static int setup(void **state)
{
	static struct worker worker;

	*state = uploads_new(&worker);
	return 0;
}

static int teardown(void **state)
{
	uploads_free(*state);
	return 0;
}

static struct upload *open_one(struct uploads *uploads, struct upload_id *ret_id)
{
	struct upload *upload = NULL;

	assert_true(uploads_open(uploads, STR("a"), HASH_SHA256, &upload, NULL));
	*ret_id = upload->id;
	return upload;
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
	assert_true(uploads_look(uploads, STR("a"), &id, &size, &err));
	assert_int_equal(size, 0);
	upload_grew(upload, 5);
	assert_true(uploads_look(uploads, STR("a"), &id, &size, &err));
	assert_int_equal(size, 5);
	upload_release(upload);
	assert_true(uploads_acquire(uploads, STR("a"), &id, &again, &err));
	assert_ptr_equal(again, upload);
	upload_end(again);
	assert_false(uploads_acquire(uploads, STR("a"), &id, &again, &err));
	assert_string_equal(err.code, "BLOB_UPLOAD_UNKNOWN");
	assert_int_equal(uploads_len(uploads), 0);
}

static void another_repository_does_not_see_it(void **state)
{
	struct uploads *uploads = *state;
	struct upload *again = NULL;
	struct upload_id id;
	struct error err;
	uint64_t size;

	upload_release(open_one(uploads, &id));
	assert_false(uploads_look(uploads, STR("b"), &id, &size, &err));
	assert_false(uploads_acquire(uploads, STR("b"), &id, &again, &err));
	assert_false(uploads_cancel(uploads, STR("b"), &id, &err));
	assert_int_equal(uploads_len(uploads), 1);
}

/* Who holds a cancelled session finds out by letting it go. */
static void a_held_one_is_cancelled_later(void **state)
{
	struct uploads *uploads = *state;
	struct upload_id id;
	struct error err;
	uint64_t size;
	struct upload *upload = open_one(uploads, &id);

	assert_true(uploads_cancel(uploads, STR("a"), &id, &err));
	assert_false(uploads_look(uploads, STR("a"), &id, &size, &err));
	assert_false(uploads_cancel(uploads, STR("a"), &id, &err));
	assert_int_equal(uploads_len(uploads), 1);
	upload_release(upload);
	assert_int_equal(uploads_len(uploads), 0);
}

static void the_abandoned_end(void **state)
{
	struct uploads *uploads = *state;
	struct upload_id held_id, idle_id;
	struct upload *held = open_one(uploads, &held_id);

	upload_release(open_one(uploads, &idle_id));
	uploads_expire(uploads, clock_ms() - 1000);
	assert_int_equal(uploads_len(uploads), 2);
	uploads_expire(uploads, clock_ms() + 1000);
	assert_int_equal(uploads_len(uploads), 1);
	upload_release(held);
	uploads_expire(uploads, clock_ms() + 1000);
	assert_int_equal(uploads_len(uploads), 0);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH(one_holds_at_a_time),
		WITH(another_repository_does_not_see_it),
		WITH(a_held_one_is_cancelled_later),
		WITH(the_abandoned_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
