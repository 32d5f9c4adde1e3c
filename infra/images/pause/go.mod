module holdfast/pause

go 1.25.0
