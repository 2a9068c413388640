"""Second floor: agents of every chapter. They know worlds only by what worlds say of themselves."""
