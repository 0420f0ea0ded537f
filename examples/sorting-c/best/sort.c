/* Sorts n items of which it knows only what it asks for. */

typedef int (*Before)(int, int); /* before(i, j): does item i come before item j? */

/* EVOLVE-BLOCK-START */
/* Insertion sort over gaps (Shell 1959): the last gap must be 1. */
static const int gaps[] = {16, 5, 1};

void sort(int n, int *order, Before before)
{
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int g = 0; g < (int)(sizeof gaps / sizeof *gaps); g++) {
        int gap = gaps[g];
        for (int i = gap; i < n; i++) {
            int item = order[i];
            int j = i;
            while (j >= gap && before(item, order[j - gap])) {
                order[j] = order[j - gap];
                j -= gap;
            }
            order[j] = item;
        }
    }
}
/* EVOLVE-BLOCK-END */
