/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_ledger_piece - any bytes as a piece of a large write; each row that is taken is the same when it is written and read again.
 */
#include "common/check.h"
#include "leader/ledger/ledger_piece.h"

static bool write_again(
	struct entity *entity, const struct ledger_audit *audit, struct buf *into, struct error *err)
{
	const struct ledger_change change = { .entity = entity, .audit = audit };
	size_t len;

	return ledger_piece_encode(&change, 1, into, &len, err);
}

static bool on_again(void *arg, struct entity *entity, const struct ledger_audit *audit, struct error *err)
{
	return write_again(entity, audit, arg, err);
}

static bool on_row(void *arg, struct entity *entity, const struct ledger_audit *audit, struct error *err)
{
	AUTO_FINI(buf) once = buf_limit(LEDGER_PIECE_MAX), twice = buf_limit(LEDGER_PIECE_MAX);

	(void)arg;
	/* One that is read may be too large to be written. */
	if (!write_again(entity, audit, &once, err))
		return false;
	CHECK(ledger_piece_each(buf_str(&once), on_again, &twice, err));
	CHECK(str_equal(buf_str(&once), buf_str(&twice)));
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err;

	(void)!ledger_piece_each(str_from(data, size), on_row, NULL, &err);
	return 0;
}
