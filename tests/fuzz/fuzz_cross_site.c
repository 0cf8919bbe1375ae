/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_cross_site - an Origin and a Host, each up to a NUL.
 */
#include "common/check.h"
#include "common/cross_site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_from(data, size), origin;
	struct error err = { 0 };

	if (!str_until(&rest, '\0', &origin))
		return 0;
	AUTO_STR *from = str_dup(origin);
	AUTO_STR *host = str_dup(rest);
	struct cross_site site = { .origin = from, .host = host };
	struct cross_site told = { .fetch_site = from, .origin = from, .host = host };
	/* What is let in names the host that was asked, and reading is always let in. */
	if (cross_site_check(HTTP_POST, &site, &err))
		CHECK(*host && strlen(from) > strlen("http://"));
	else
		CHECK(err.kind == ERROR_DENIED && err.text[0]);
	CHECK(cross_site_check(HTTP_GET, &site, NULL));
	CHECK(cross_site_check(HTTP_POST, &told, NULL) ==
		(!strcmp(from, "same-origin") || !strcmp(from, "none")));
	return 0;
}
