/*
 * curl_memory.h: libcurl's memory. A small request takes and gives back some eighty blocks, always of the same sizes:
 * the loop's thread keeps those that come back, by size, and finds them again without a search. Blocks are malloc's, so
 * that libcurl's own threads may take and free them too; they keep none. Owns: the blocks that are kept, ten MiB at
 * most. Runs in: any thread. Fails: as malloc.
 */
#ifndef CRESCENT_IO_CURL_MEMORY_H
#define CRESCENT_IO_CURL_MEMORY_H

/* Starts libcurl, once per process, with this memory; the calling thread is the loop's. */
void io_curl_memory_start(void);

#endif
