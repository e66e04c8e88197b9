/* Sharing what was found to be best on devices, by files (cl/tuning_file.h). */
#ifndef CLI_SHARE_H
#define CLI_SHARE_H

/* Writes the tunings of the devices that `list` names, as --devices does, but for those that come
 * with the program; says how many. */
int share_export(const char *path, const char *list);

/* Keeps what a file has for these devices, and says what became of each of its tunings. Nothing is
 * kept of a file that has a mistake. */
int share_import(const char *path, const char *list);

#endif
