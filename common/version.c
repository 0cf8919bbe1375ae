/* SPDX-License-Identifier: Apache-2.0 */
#include "common/version.h"

#include "common/commit.h" /* made at each build: tools/commit.cmake */
#include "common/crypto.h"
#include "common/gzip.h"
#include "common/http_client.h"
#include "common/json.h"

const char *version_commit(void)
{
	return ZOT_COMMIT;
}

void version_format(const char *program, struct buf *into)
{
	buf_format(into, "%s " ZOT_VERSION "%s%s%s\n", program, *ZOT_COMMIT ? " (commit " : "", ZOT_COMMIT,
		*ZOT_COMMIT ? ")" : "");
	buf_format(into, "OpenSSL %s\nlibcurl %s\nzlib %s\njansson %s\n", crypto_library(),
		http_client_library(), gzip_library(), json_library());
}
