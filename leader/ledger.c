/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ledger.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/least.h"
#include "leader/ledger/driver.h"

void ledger_changes_free(struct ledger_change *changes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		entity_free(changes[i].entity);
	free(changes);
}

bool ledger_entity_encode(const struct entity *entity, struct buf *into, struct error *err)
{
	entity_encode(entity, into);
	if (!buf_check(into, "entity", err))
		return false;
	return into->len <= ENTITY_BYTES_MAX ||
	       error_set(err, ERROR_TOO_LARGE, NULL, "an entity has at most %u bytes, this one has %zu",
		       ENTITY_BYTES_MAX, into->len);
}

void ledger_member_fini(struct ledger_member *member)
{
	free(member->name);
	free(member->process);
	free(member->boot);
	free(member->url);
	free(member->zone);
	free(member->tenants);
	free(member->version);
	free(member->state);
	free(member->complaints);
	*member = (struct ledger_member){ 0 };
}

static char *dup_or_empty(const char *text)
{
	return check_strdup(text ? text : "");
}

void ledger_member_copy(const struct ledger_member *member, struct ledger_member *into)
{
	*into = *member;
	into->name = dup_or_empty(member->name);
	into->process = dup_or_empty(member->process);
	into->boot = dup_or_empty(member->boot);
	into->url = dup_or_empty(member->url);
	into->zone = dup_or_empty(member->zone);
	into->tenants = dup_or_empty(member->tenants);
	into->version = dup_or_empty(member->version);
	into->state = dup_or_empty(member->state);
	into->complaints = dup_or_empty(member->complaints);
}

size_t ledger_sums(const struct usage_row *row, struct ledger_sum into[LEDGER_SUMS])
{
	uint64_t bytes = least(row->bytes_in, INT64_MAX) + least(row->bytes_out, INT64_MAX);
	uint64_t of_month = least(row->granted_month, row->calls),
		 of_bytes = least(row->granted_bytes, bytes);

	into[0] = (struct ledger_sum){ .calls = row->calls,
		.ungranted = row->ungranted,
		.bytes_in = row->bytes_in,
		.bytes_out = row->bytes_out };
	into[1] = into[0];
	into[1].ungranted = row->calls - of_month;
	into[2] = (struct ledger_sum){ .calls = bytes, .ungranted = bytes - of_bytes };
	(void)snprintf(into[0].window, LIMITS_WINDOW_SIZE, "%s", row->day);
	(void)snprintf(into[1].window, LIMITS_WINDOW_SIZE, "%.7s", row->day);
	(void)snprintf(into[2].window, LIMITS_WINDOW_SIZE, "%.7s#bytes", row->day);
	return bytes ? LEDGER_SUMS : LEDGER_SUMS - 1;
}

void ledger_close(struct ledger *ledger)
{
	if (ledger)
		ledger->driver->close(ledger);
}

bool ledger_load_entities(
	struct ledger *ledger, ledger_entity_f *fn, void *arg, struct ledger_loaded *ret, struct error *err)
{
	return ledger->driver->load_entities(ledger, fn, arg, ret, err);
}

bool ledger_load_members(struct ledger *ledger, ledger_member_f *fn, void *arg, struct error *err)
{
	return ledger->driver->load_members(ledger, fn, arg, err);
}

bool ledger_load_grants(
	struct ledger *ledger, const char *day, ledger_grant_f *fn, void *arg, struct error *err)
{
	return ledger->driver->load_grants(ledger, day, fn, arg, err);
}

bool ledger_load_gone(struct ledger *ledger, size_t most, ledger_gone_f *fn, void *arg, struct error *err)
{
	return ledger->driver->load_gone(ledger, most, fn, arg, err);
}

bool ledger_begin_life(
	struct ledger *ledger, ledger_life_f *fn, void *arg, bool *ret_joined, struct error *err)
{
	return ledger->driver->begin_life(ledger, fn, arg, ret_joined, err);
}

bool ledger_put_heard(struct ledger *ledger, bool heard, struct error *err)
{
	return ledger->driver->put_heard(ledger, heard, err);
}

bool ledger_load_pairs(struct ledger *ledger, ledger_pair_f *fn, void *arg, struct error *err)
{
	return ledger->driver->load_pairs(ledger, fn, arg, err);
}

bool ledger_put_pair(struct ledger *ledger, const struct ledger_pair *pair, struct error *err)
{
	return ledger->driver->put_pair(ledger, pair, err);
}

enum ledger_result ledger_write(struct ledger *ledger, const struct ledger_change *changes, size_t len,
	const uint8_t digest[ENTITY_HASH_BYTES], uint64_t *ret_revision, size_t *ret_at, struct error *err)
{
	return ledger->driver->write(ledger, changes, len, digest, ret_revision, ret_at, err);
}

bool ledger_stage_begin(struct ledger *ledger, struct error *err)
{
	return ledger->driver->stage_begin(ledger, err);
}

bool ledger_stage_put(struct ledger *ledger, struct str piece, struct error *err)
{
	return ledger->driver->stage_put(ledger, piece, err);
}

enum ledger_result ledger_stage_publish(
	struct ledger *ledger, uint64_t revision, const uint8_t digest[ENTITY_HASH_BYTES], struct error *err)
{
	return ledger->driver->stage_publish(ledger, revision, digest, err);
}

bool ledger_stage_drop(struct ledger *ledger, struct error *err)
{
	return ledger->driver->stage_drop(ledger, err);
}

bool ledger_is_settled(const struct ledger *ledger)
{
	return ledger->driver->is_settled(ledger);
}

bool ledger_settle(struct ledger *ledger, bool *ret_more, struct error *err)
{
	return ledger->driver->settle(ledger, ret_more, err);
}

bool ledger_boot(struct ledger *ledger, const char *boot, struct ledger_boot *ret, struct error *err)
{
	return ledger->driver->boot(ledger, boot, ret, err);
}

bool ledger_merge_usage(
	struct ledger *ledger, const struct ledger_merge *merge, struct ledger_merged *ret, struct error *err)
{
	return ledger->driver->merge_usage(ledger, merge, ret, err);
}

bool ledger_fold(struct ledger *ledger, size_t most, bool *ret_more, struct error *err)
{
	return ledger->driver->fold(ledger, most, ret_more, err);
}

bool ledger_put_member(struct ledger *ledger, const struct ledger_member *member, struct error *err)
{
	return ledger->driver->put_member(ledger, member, err);
}

bool ledger_delete_member(
	struct ledger *ledger, const char *name, const struct ledger_audit *audit, struct error *err)
{
	return ledger->driver->delete_member(ledger, name, audit, err);
}

bool ledger_calls(struct ledger *ledger, const struct ledger_key_day *at, size_t len,
	struct ledger_calls *ret, struct error *err)
{
	return ledger->driver->calls(ledger, at, len, ret, err);
}

bool ledger_list_keys(struct ledger *ledger, const struct ledger_keys *which, size_t max, ledger_usage_f *fn,
	void *arg, struct error *err)
{
	return ledger->driver->list_keys(ledger, which, max, fn, arg, err);
}

bool ledger_sum_keys(
	struct ledger *ledger, const struct ledger_keys *which, struct ledger_usage *ret, struct error *err)
{
	return ledger->driver->sum_keys(ledger, which, ret, err);
}

bool ledger_list_repositories(
	struct ledger *ledger, const char *name, size_t max, ledger_usage_f *fn, void *arg, struct error *err)
{
	return ledger->driver->list_repositories(ledger, name, max, fn, arg, err);
}

bool ledger_put_audit(struct ledger *ledger, const struct ledger_audit *rows, size_t len, struct error *err)
{
	return ledger->driver->put_audit(ledger, rows, len, err);
}

bool ledger_expired(struct ledger *ledger, int64_t *ret_upto_s, struct error *err)
{
	return ledger->driver->expired(ledger, ret_upto_s, err);
}

bool ledger_put_expired(
	struct ledger *ledger, const struct ledger_expired *expired, bool *ret_put, struct error *err)
{
	return ledger->driver->put_expired(ledger, expired, ret_put, err);
}

bool ledger_list_audit(struct ledger *ledger, const struct ledger_audit_ask *ask, size_t max,
	ledger_audit_f *fn, void *arg, struct error *err)
{
	return ledger->driver->list_audit(ledger, ask, max, fn, arg, err);
}

bool ledger_sweep_audit(
	struct ledger *ledger, const struct ledger_audit_kept *kept, bool *ret_more, struct error *err)
{
	return ledger->driver->sweep_audit(ledger, kept, ret_more, err);
}

/* Several leaders. */

bool ledger_is_shared(const struct ledger *ledger)
{
	return ledger->driver->follow;
}

bool ledger_follow(struct ledger *ledger, ledger_entry_f *fn, void *arg, struct error *err)
{
	return ledger->driver->follow(ledger, fn, arg, err);
}

struct ledger_shared ledger_shared(const struct ledger *ledger)
{
	return ledger->driver->shared ? ledger->driver->shared(ledger) : (struct ledger_shared){ 0 };
}

bool ledger_tell(struct ledger *ledger, struct str word, struct error *err)
{
	return ledger->driver->tell(ledger, word, err);
}

bool ledger_listen(struct ledger *ledger, int64_t wait_ms, ledger_word_f *fn, void *arg, bool *ret_more,
	struct error *err)
{
	return ledger->driver->listen(ledger, wait_ms, fn, arg, ret_more, err);
}

bool ledger_rescue(struct ledger *ledger, const struct ledger_rescue *rescue, struct ledger_loaded *ret,
	struct error *err)
{
	return ledger->driver->rescue(ledger, rescue, ret, err);
}
