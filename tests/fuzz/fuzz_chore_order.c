/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_chore_order - any bytes as what an administrator asks of a chore.
 */
#include <string.h>

#include "common/check.h"
#include "proto/chore_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chore_view_order order;
	struct error err = { .text = "" };

	if (chore_view_order_parse(str_from(data, size), &order, &err))
		CHECK(order.chore[0] && strlen(order.chore) < sizeof(order.chore) &&
			!(order.stop && order.dry_run));
	else
		CHECK(err.text[0]);
	return 0;
}
