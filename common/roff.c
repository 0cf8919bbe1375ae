/* SPDX-License-Identifier: Apache-2.0 */
#include "common/roff.h"

void roff_put(struct str text, struct buf *into)
{
	bool begins = !into->len || into->at[into->len - 1] == '\n';

	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (begins && (c == '.' || c == '\''))
			buf_puts(into, "\\&");
		if (c == '\\')
			buf_puts(into, "\\e");
		else if (c == '-')
			buf_puts(into, "\\-");
		else
			buf_putc(into, c);
		begins = c == '\n';
	}
}
