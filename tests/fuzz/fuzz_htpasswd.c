/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_htpasswd - a password file of any bytes: taken, or refused with the line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/check.h"
#include "worker/auth/htpasswd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(htpasswd) *htpasswd = NULL;
	struct error err;
	char path[64];
	int fd = memfd_create("htpasswd", 0);

	CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (htpasswd_open(&htpasswd, path, &err))
		free(htpasswd_find(htpasswd, STR("ann")));
	else
		CHECK(err.text[0]);
	(void)close(fd);
	return 0;
}
