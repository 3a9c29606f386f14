"""Files that come into a folder of this machine, each answered once.

    folder → changes → **file** → instances → predictions → **record**

What the system tells of the folder is only a hint: the folder itself is looked through at the
start and now and then, and the record of a file tells that it was answered.
"""
