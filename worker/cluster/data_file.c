/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/data_file.h"

#include <inttypes.h>

#include "common/aside.h"
#include "common/log.h"

bool data_file_newer(uint64_t format, unsigned ours, struct error *err)
{
	return error_set(err, ERROR_INVALID, DATA_FILE_NEWER,
		"of format %" PRIu64 ", written by a newer zot-worker; this one (" ZOT_VERSION
		") reads %u at most: start the newer one again, with this file under its own name",
		format, ours);
}

void data_file_keep(const char *path, const struct error *why, const char *lost)
{
	AUTO_FINI(buf) name = buf_limit(4096);
	struct error err;
	bool kept = aside_keep(path, why->code ? "newer" : "damaged", &name, &err);

	log_error("file.unread", "error=%s kept=%s what=%s", log_quote(str_of(why->text)),
		log_quote(kept ? buf_str(&name) : str_of(err.text)), log_quote(str_of(lost)));
}
