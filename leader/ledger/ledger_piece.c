/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ledger/ledger_piece.h"

#include "leader/ledger/ledger_redis.h"

/* Of memory for the texts of one row of the audit. */
#define ROW_MAX LEDGER_REDIS_AUDIT_MAX

static bool put_entity(const struct entity *entity, struct buf *into, struct error *err)
{
	AUTO_FINI(buf) body = buf_limit(LEDGER_ENTITY_ROOM);

	if (!ledger_entity_encode(entity, &body, err))
		return false;
	pack_bin(into, buf_str(&body));
	return true;
}

static bool put_audit(const struct ledger_change *change, struct buf *into, struct error *err)
{
	AUTO_FINI(buf) row = buf_limit(LEDGER_REDIS_AUDIT_MAX);

	if (change->audit)
		ledger_redis_audit_encode(change->audit, entity_revision(change->entity), &row);
	if (!buf_check(&row, "a row of the audit", err))
		return false;
	pack_bin(into, row.len ? buf_str(&row) : STR(""));
	return true;
}

bool ledger_piece_encode(
	const struct ledger_change *changes, size_t len, struct buf *into, size_t *ret_len, struct error *err)
{
	AUTO_FINI(buf) rows = buf_limit(LEDGER_PIECE_MAX);
	size_t done = 0;

	while (done < len && done < LEDGER_PIECE_ROWS && rows.len < LEDGER_PIECE_BYTES) {
		pack_array(&rows, 2);
		if (!put_entity(changes[done].entity, &rows, err) || !put_audit(&changes[done], &rows, err))
			return false;
		done++;
	}
	pack_array(into, done);
	buf_add(into, buf_str(&rows));
	into->failed |= rows.failed;
	*ret_len = done;
	return buf_check(into, "a piece of a large write", err);
}

static bool damaged(struct error *err)
{
	return error_set(err, ERROR_INVALID, NULL, "a piece of a large write is damaged");
}

static bool read_row(const struct pack_node *node, ledger_piece_f *fn, void *arg, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	AUTO(entity) *entity = NULL;
	AUTO_FINI(arena) arena = arena_limit(ROW_MAX);
	struct ledger_audit audit;
	struct str body, packed;

	if (pack_len(node) != 2 || !pack_get_str(pack_at(node, 0), &body) ||
		!pack_get_str(pack_at(node, 1), &packed))
		return damaged(err);
	if (!pack_parse(body, &doc, err) || !entity_decode(pack_root(doc), &entity, err))
		return error_add(err, "a piece of a large write");
	if (packed.len && !ledger_redis_audit_decode(packed, &arena, &audit))
		return damaged(err);
	return fn(arg, entity, packed.len ? &audit : NULL, err);
}

bool ledger_piece_each(struct str piece, ledger_piece_f *fn, void *arg, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;

	if (!pack_parse(piece, &doc, err) || !pack_is_array(pack_root(doc)) ||
		pack_len(pack_root(doc)) > LEDGER_PIECE_ROWS)
		return damaged(err);
	for (size_t i = 0; i < pack_len(pack_root(doc)); i++)
		if (!read_row(pack_at(pack_root(doc), i), fn, arg, err))
			return false;
	return true;
}
