// Command trivy-db writes a bbolt database of the layout that Trivy's has: nested buckets, and JSON below the keys.
//
// It is called with the file to write, and reads a JSON array of records: {"path": [bucket, …, key], "value": …}.
package main

import (
	"encoding/json"
	"log"
	"os"

	"go.etcd.io/bbolt"
)

type record struct {
	Path  []string        `json:"path"`
	Value json.RawMessage `json:"value"`
}

func put(tx *bbolt.Tx, item record) error {
	last := len(item.Path) - 1
	bucket, err := tx.CreateBucketIfNotExists([]byte(item.Path[0]))
	for _, name := range item.Path[1:last] {
		if err != nil {
			return err
		}
		bucket, err = bucket.CreateBucketIfNotExists([]byte(name))
	}
	if err != nil {
		return err
	}
	return bucket.Put([]byte(item.Path[last]), item.Value)
}

func main() {
	var records []record
	if err := json.NewDecoder(os.Stdin).Decode(&records); err != nil {
		log.Fatal(err)
	}
	db, err := bbolt.Open(os.Args[1], 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, item := range records {
			if err := put(tx, item); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
}
