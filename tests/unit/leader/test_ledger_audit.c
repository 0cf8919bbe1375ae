/* SPDX-License-Identifier: Apache-2.0 */
/* The audit of a ledger: with the change or not at all, its questions, its bounds; and the sums of refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "leader/audit.h"
#include "leader/refusals.h"
#include "proto/entity_table.h"
#include "tests/unit/leader/ledger_rig.h"

static const uint8_t some_digest[ENTITY_HASH_BYTES] = { 7 };

static struct ledger_audit row_of(const char *id, int64_t at_ms, bool refused)
{
	struct ledger_audit row = audit_event("user", id, "patched", "{\"old\":null}");

	row.at_ms = at_ms;
	row.user = "root";
	row.from = "192.0.2.1";
	row.refused = refused;
	return row;
}

struct seen {
	size_t len;
	uint64_t numbers[64];
	char ids[64][16];
	struct ledger_audit last;
};

static bool see(void *arg, const struct ledger_audit *row)
{
	struct seen *seen = arg;

	assert_true(seen->len < 64);
	seen->numbers[seen->len] = row->number;
	(void)snprintf(seen->ids[seen->len++], sizeof(seen->ids[0]), "%s", row->id);
	assert_string_equal(row->from, "192.0.2.1");
	assert_string_equal(row->detail, "{\"old\":null}");
	seen->last = *row;
	return true;
}

static struct seen list(struct ledger *ledger, struct ledger_audit_ask ask)
{
	struct seen seen = { 0 };
	struct error err;

	assert_true(ledger_list_audit(ledger, &ask, 64, see, &seen, &err));
	return seen;
}

static void put_row(struct ledger *ledger, const char *id, int64_t at_ms, bool refused)
{
	const struct ledger_audit row = row_of(id, at_ms, refused);

	assert_true(ledger_put_audit(ledger, &row, 1, NULL));
}

static enum ledger_result write_user(struct ledger *ledger, uint64_t expected)
{
	const struct ledger_audit row = row_of("ann", 5, false);
	struct user user;
	uint64_t revision;
	size_t at;

	table_defaults(entity_table(ENTITY_USER), &user);
	AUTO(entity) *entity = entity_new(ENTITY_USER, STR("ann"), 0, &user);
	struct ledger_change change = {
		.entity = entity, .check = true, .expected = expected, .audit = &row
	};
	return ledger_write(ledger, &change, 1, some_digest, &revision, &at, NULL);
}

static void a_change_and_its_row_are_one(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(write_user(rig->ledger, 0), LEDGER_WRITTEN);
	assert_int_equal(write_user(rig->ledger, 7), LEDGER_STALE);
	struct seen seen = list(rig->ledger, (struct ledger_audit_ask){ 0 });
	assert_int_equal(seen.len, 1);
	assert_int_equal(seen.last.revision, 1);
	assert_int_equal(seen.last.at_ms, 5);
	assert_int_equal(seen.last.count, 1);
}

static void a_member_goes_with_its_row(void **state)
{
	struct rig *rig = *state;
	const struct ledger_audit row = row_of("w1", 5, false);

	assert_true(ledger_delete_member(rig->ledger, "w1", NULL, NULL));
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ 0 }).len, 0);
	assert_true(ledger_delete_member(rig->ledger, "w1", &row, NULL));
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ 0 }).len, 1);
}

static void rows_are_found_by_what_is_asked(void **state)
{
	struct rig *rig = *state;
	static const char *const ids[] = { "a", "b", "c", "a" };

	for (size_t i = 0; i < 4; i++)
		put_row(rig->ledger, ids[i], 1000 * (int64_t)(i + 1), false);
	struct seen seen = list(rig->ledger, (struct ledger_audit_ask){ 0 });
	assert_int_equal(seen.len, 4);
	assert_int_equal(seen.numbers[0], 4);
	seen = list(rig->ledger, (struct ledger_audit_ask){ .after = 1, .oldest_first = true });
	assert_int_equal(seen.len, 3);
	assert_int_equal(seen.numbers[0], 2);
	seen = list(rig->ledger, (struct ledger_audit_ask){ .before = 3 });
	assert_int_equal(seen.len, 2);
	assert_int_equal(seen.numbers[0], 2);
	seen = list(rig->ledger, (struct ledger_audit_ask){ .since_ms = 2000, .until_ms = 4000 });
	assert_int_equal(seen.len, 2);
	assert_string_equal(seen.ids[0], "c");
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ .id = "a", .kind = "user" }).len, 2);
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ .kind = "policy" }).len, 0);
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ .user = "root" }).len, 4);
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ .user = "ann" }).len, 0);
}

static bool sweep(struct ledger *ledger, struct ledger_audit_kept kept)
{
	bool more;

	assert_true(ledger_sweep_audit(ledger, &kept, &more, NULL));
	return more;
}

static void what_is_too_much_goes_and_refusals_push_out_no_change(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < 10; i++) {
		put_row(rig->ledger, "change", 1000, false);
		put_row(rig->ledger, "refusal", 1000, true);
	}
	assert_false(
		sweep(rig->ledger, (struct ledger_audit_kept){ .changes = 10, .refusals = 10, .most = 5 }));
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ 0 }).len, 20);
	assert_false(
		sweep(rig->ledger, (struct ledger_audit_kept){ .changes = 10, .refusals = 7, .most = 5 }));
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ .id = "refusal" }).len, 7);
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ .id = "change" }).len, 10);
	assert_true(sweep(rig->ledger, (struct ledger_audit_kept){ .changes = 4, .refusals = 7, .most = 5 }));
	assert_false(
		sweep(rig->ledger, (struct ledger_audit_kept){ .changes = 4, .refusals = 7, .most = 5 }));
	struct seen seen = list(rig->ledger, (struct ledger_audit_ask){ .id = "change" });
	assert_int_equal(seen.len, 4);
	assert_int_equal(seen.numbers[0], 19);
	/* A number is never given twice. */
	assert_false(
		sweep(rig->ledger, (struct ledger_audit_kept){ .since_ms = 1001, .changes = 9, .most = 50 }));
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ 0 }).len, 0);
	put_row(rig->ledger, "change", 1000, false);
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ 0 }).last.number, 21);
}

static void what_was_over_is_told_by_one_leader(void **state)
{
	struct rig *rig = *state;
	const struct ledger_audit row = row_of("k1", 5, false);
	struct ledger_expired expired = { .upto_s = 100 };
	int64_t upto = 1;
	bool is_put;

	assert_true(ledger_expired(rig->ledger, &upto, NULL));
	assert_int_equal(upto, 0);
	assert_true(ledger_put_expired(rig->ledger, &expired, &is_put, NULL) && is_put);
	expired = (struct ledger_expired){ .from_s = 100, .upto_s = 110, .rows = &row, .len = 1 };
	assert_true(ledger_put_expired(rig->ledger, &expired, &is_put, NULL) && is_put);
	assert_true(ledger_put_expired(rig->ledger, &expired, &is_put, NULL) && !is_put);
	assert_true(ledger_expired(rig->ledger, &upto, NULL));
	assert_int_equal(upto, 110);
	assert_int_equal(list(rig->ledger, (struct ledger_audit_ask){ 0 }).len, 1);
}

static void refusals_are_sums(void **state)
{
	AUTO(refusals) *refusals = refusals_new();
	struct login_refusal why = { .why = "password_wrong", .user = "root" };
	struct refusals_rows rows;
	struct ip ip;

	(void)state;
	assert_true(ip_parse(STR("192.0.2.1"), &ip));
	assert_true(refusals_add(refusals, &ip, 401, 1000));
	refusals_explain(refusals, &ip, &why);
	for (unsigned i = 0; i < 1000; i++)
		assert_false(refusals_add(refusals, &ip, i % 2 ? 401 : 429, 1000));
	for (unsigned i = 0; i < 100; i++) {
		ip.at[15] = (uint8_t)(100 + i);
		(void)refusals_add(refusals, &ip, 403, 2000);
	}
	refusals_take(refusals, 1000 + REFUSALS_SPAN_MS - 1, false, &rows);
	assert_int_equal(rows.len, 0);
	refusals_rows_fini(&rows);
	refusals_take(refusals, 1000 + REFUSALS_SPAN_MS, false, &rows);
	assert_int_equal(rows.len, REFUSALS_ROWS);
	assert_int_equal(rows.at[0].count, 1001);
	assert_string_equal(rows.at[0].from, "192.0.2.1");
	assert_string_equal(rows.at[0].user, "root");
	assert_string_equal(rows.at[0].detail,
		"{\"unauthorized\":501,\"denied\":0,\"limited\":500,\"reason\":\"password_wrong\"}");
	assert_int_equal(rows.at[REFUSALS_ADDRESSES].count, 100 - (REFUSALS_ADDRESSES - 1));
	assert_string_equal(rows.at[REFUSALS_ADDRESSES].from, "");
	refusals_rows_fini(&rows);
	refusals_take(refusals, 0, true, &rows);
	assert_int_equal(rows.len, 0);
	refusals_rows_fini(&rows);
}

int main(void)
{
	const struct CMUnitTest sqlite[] = {
		cmocka_unit_test_setup_teardown(a_change_and_its_row_are_one, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(a_member_goes_with_its_row, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(rows_are_found_by_what_is_asked, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			what_is_too_much_goes_and_refusals_push_out_no_change, rig_sqlite, rig_teardown),
		cmocka_unit_test_setup_teardown(
			what_was_over_is_told_by_one_leader, rig_sqlite, rig_teardown),
		cmocka_unit_test(refusals_are_sums),
	};
	const struct CMUnitTest redis[] = {
		cmocka_unit_test_setup_teardown(a_change_and_its_row_are_one, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(a_member_goes_with_its_row, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(rows_are_found_by_what_is_asked, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(
			what_is_too_much_goes_and_refusals_push_out_no_change, rig_redis, rig_teardown),
		cmocka_unit_test_setup_teardown(what_was_over_is_told_by_one_leader, rig_redis, rig_teardown),
	};

	return cmocka_run_group_tests(sqlite, NULL, NULL) +
	       cmocka_run_group_tests(redis, rig_start_server, rig_stop_server);
}
