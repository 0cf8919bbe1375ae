/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_finish - the bytes of a session become a blob: digest compared, stored, 201.
 */
#pragma once

#include "proto/digest.h"

struct oci_call;
struct registry_streamed;
struct http_response;
struct upload;

/* Takes the held session; replies later, also when the client is gone by then. */
void upload_finish_start(struct oci_call *call, struct upload *upload, const struct digest *digest);
/* The same of bytes that went to the store as they came, and have this digest (upload_stream.h). Takes the push too. */
void upload_finish_start_push(struct oci_call *call, struct upload *upload, const struct digest *digest, const struct registry_streamed *push);
/* 201 with the blob's Location. */
struct http_response *upload_reply_stored(const char *name, const struct digest *digest);
