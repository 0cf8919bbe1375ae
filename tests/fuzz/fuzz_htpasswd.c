/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_htpasswd - a password file of any bytes: taken, or refused with the line.
 */
#include <stdlib.h>

#include "common/check.h"
#include "worker/auth/htpasswd.h"
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(htpasswd) *htpasswd = NULL;
	struct error err;
	char path[64];
	int fd = fuzz_file(data, size, path);

	if (htpasswd_open(&htpasswd, path, &err))
		free(htpasswd_find(htpasswd, STR("ann")));
	else
		CHECK(err.text[0]);
	(void)close(fd);
	return 0;
}
